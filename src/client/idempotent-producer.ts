import { FlotillaError, LIMITS } from '../base/index.js';
import { checkProducerName, type EventLimits } from '../event/index.js';
import { type CallOptions, RpcClient } from '../rpc/index.js';
import { type PackedBody, packBody, proto } from '../wire/index.js';
import { BackOff } from './back-off.js';
import { sleep } from './connect.js';
import { checkCallSize, type EventInput, encodedBytes, toNewEvents } from './event-input.js';
import { unreachableError } from './link-keeper.js';
import type { ReaderContext } from './reader.js';
import { firstIdOf, Receipt } from './receipt.js';

type EventRpc = RpcClient<typeof proto.EventServiceDefinition>;

export interface IdempotentProducerOptions {
  /** The empty one: a producer of its own. */
  readonly name: string;
  readonly context: ReaderContext;
  readonly limits: EventLimits;
  readonly onClosed: (producer: IdempotentProducer) => void;
}

/** What is asked of nodes until one answers for certain: it has the same effect once and many times. */
interface Question<Result> {
  readonly ask: (rpc: EventRpc, call: CallOptions) => Promise<Result>;
  /** Of `performance.now()`. */
  readonly giveUpMs: number;
  /** What is to be thrown where it has been left open whether the stream has taken it; `why`: the last failure. */
  readonly inDoubt: (why: FlotillaError) => FlotillaError;
  doubtful: boolean;
}

/** A batch whose outcome is unknown: its number is still to be settled. */
interface Unsettled {
  readonly sequence: number;
  readonly body: PackedBody;
}

/** Failures that leave open whether the stream has taken what was asked for. */
const UNKNOWN: ReadonlySet<string> = new Set([
  'OUTCOME_UNKNOWN',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'INTERNAL',
  'DATA_LOSS',
]);

/**
 * Appends batches that are in the stream once, however often they had to be
 * sent: over lost connections, changes of the leader, and restarts of all nodes.
 * The stream remembers a producer and its last batches for a week after the last
 * of them (docs/producing.md).
 *
 * One batch is under way at a time; further calls wait their turn.
 */
export class IdempotentProducer {
  readonly name: string;
  private readonly context: ReaderContext;
  private readonly limits: EventLimits;
  private readonly onClosed: IdempotentProducerOptions['onClosed'];
  private readonly closing = new AbortController();
  private opened: proto.OpenProducerResponse = { producerId: 0, epoch: 0, lastSequence: 0, incarnation: '' };
  private rpc: EventRpc | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private waitingCalls = 0;
  private waitingBytes = 0;
  private unsettled: Unsettled | undefined;
  /** How often an outcome was unknown. */
  private doubts = 0;
  private closed = false;

  private constructor({ name, context, limits, onClosed }: IdempotentProducerOptions) {
    checkProducerName(name, 'name');
    this.name = name;
    this.context = context;
    this.limits = limits;
    this.onClosed = onClosed;
  }

  /** See FlotillaClient.openProducer. */
  static async open(options: IdempotentProducerOptions): Promise<IdempotentProducer> {
    const producer = new IdempotentProducer(options);
    try {
      producer.opened = await producer.answerTo({
        // Whoever hears no answer may have opened it, and opens it again.
        ask: (rpc, call) => rpc.unary('openProducer', { stream: options.context.stream, name: options.name }, call),
        giveUpMs: performance.now() + options.context.timeoutMs,
        inDoubt: (why) => why,
        doubtful: false,
      });
    } catch (error) {
      producer.disconnect();
      throw error;
    }
    return producer;
  }

  /** Number of its last batch in the stream, as far as it knows: 1, 2, 3 …; 0 before the first. */
  get lastSequence(): number {
    return this.opened.lastSequence;
  }

  /**
   * Appends events as one batch, as number {@link lastSequence} + 1. Resolves
   * when it is fsynced on a majority, with the ids that it got the first time.
   *
   * Rejects with OUTCOME_UNKNOWN where no node has said for certain in time
   * whether it is there; calls that wait behind it are not sent (NOT_READY). Its
   * number is then still to be settled: append the same events again. Other
   * events take the number where the first are not there; else they are refused
   * (SEQUENCE_REUSED), and the next call has the next number.
   *
   * Rejects with PRODUCER_FENCED where another has opened the name since, with
   * PRODUCER_EXPIRED where the stream does not remember the producer any more,
   * and else like `FlotillaClient.append`.
   */
  append(events: readonly EventInput[]): Promise<Receipt> {
    try {
      const body = this.encode(events);
      const giveUpMs = performance.now() + this.context.timeoutMs;
      const { doubts } = this;
      const turn = this.last.then(() => this.appendNext(body, giveUpMs, doubts));
      this.last = turn.then(
        () => this.left(body),
        () => this.left(body),
      );
      return turn;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Takes nothing more in, waits until every call has its answer, and disconnects. The stream goes on remembering it.
   */
  async close(): Promise<void> {
    this.closed = true;
    await this.last;
    this.closing.abort();
    this.disconnect();
    this.onClosed(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private encode(inputs: readonly EventInput[]): PackedBody {
    if (this.closed) throw new FlotillaError('CANCELLED', 'the producer is closed');
    const events = toNewEvents(inputs, this.limits);
    checkCallSize(
      events.length,
      events.reduce((sum, event) => sum + encodedBytes(event), 0),
    );
    const body = packBody(events);
    if (
      this.waitingCalls >= LIMITS.producerCallsWaiting ||
      this.waitingBytes + body.body.byteLength > LIMITS.clientPendingBytes
    )
      throw new FlotillaError(
        'TOO_MANY_REQUESTS',
        `${this.waitingCalls} batches of this producer, ${this.waitingBytes} bytes, wait for their turn; await some`,
      );
    this.waitingCalls++;
    this.waitingBytes += body.body.byteLength;
    return body;
  }

  private left({ body }: PackedBody): void {
    this.waitingCalls--;
    this.waitingBytes -= body.byteLength;
  }

  /** `doubts`: as of the call. */
  private async appendNext(body: PackedBody, giveUpMs: number, doubts: number): Promise<Receipt> {
    if (doubts !== this.doubts)
      throw new FlotillaError(
        'NOT_READY',
        'the outcome of the batch before this one is unknown; this one was not sent: settle that one first',
      );
    if (performance.now() >= giveUpMs)
      throw new FlotillaError(
        'TOO_MANY_REQUESTS',
        'the batches before this one took all of its time; this one was not sent',
      );
    const { producerId, epoch, lastSequence, incarnation } = this.opened;
    const sequence = lastSequence + 1;
    const { unsettled } = this;
    const { count, checksum } = body;
    const packed = { body: body.body, count, checksum };
    const request = {
      stream: this.context.stream,
      events: [],
      packed,
      producer: { producerId, epoch, sequence, incarnation, firstSentMsAgo: 0, bornAfter: 0 },
    };
    const isAgain = unsettled?.sequence === sequence && isSame(unsettled.body, body);
    try {
      const { receipt } = await this.answerTo({
        ask: (rpc, call) => rpc.unary('append', request, call),
        giveUpMs,
        inDoubt: (why) => this.leaveOpen({ sequence, body }, why),
        doubtful: isAgain,
      });
      if (receipt === undefined) throw new FlotillaError('INTERNAL', 'a node acknowledged without a receipt');
      this.settle(sequence);
      return new Receipt(firstIdOf(receipt, count), count, receipt, false);
    } catch (error) {
      // The events that were given up are there: this number is theirs.
      if (error instanceof FlotillaError && error.code === 'SEQUENCE_REUSED' && unsettled?.sequence === sequence)
        this.settle(sequence);
      throw error;
    }
  }

  private settle(sequence: number): void {
    this.opened = { ...this.opened, lastSequence: sequence };
    this.unsettled = undefined;
  }

  private leaveOpen(batch: Unsettled, why: FlotillaError): FlotillaError {
    this.unsettled = batch;
    this.doubts++;
    const message = `no node has said for certain whether batch ${batch.sequence} is there; append the same events again: ${why.message}`;
    return new FlotillaError('OUTCOME_UNKNOWN', message, { cause: why });
  }

  /**
   * Asks one node after another. A refusal of a later attempt says nothing of an earlier one, unless it is that other
   * events are there.
   */
  private async answerTo<Result>(question: Question<Result>): Promise<Result> {
    const { hosts, timeoutMs, onConnected } = this.context;
    const backOff = new BackOff();
    const beginMs = performance.now();
    for (;;) {
      const rpc = this.connect();
      try {
        const leftMs = Math.max(1, question.giveUpMs - performance.now());
        const result = await question.ask(rpc, {
          timeoutMs: Math.min(leftMs, LIMITS.producerAttemptMs),
          signal: this.closing.signal,
        });
        onConnected(rpc.address);
        return result;
      } catch (error) {
        if (!(error instanceof FlotillaError)) throw error;
        question.doubtful ||= UNKNOWN.has(error.code);
        const goesOn = UNKNOWN.has(error.code) || error.retryable || mayPass(error, performance.now() - beginMs);
        if (!goesOn || performance.now() >= question.giveUpMs || this.closing.signal.aborted)
          throw this.finalFailure(question, error);
        this.disconnect();
        if (error.leader === undefined) hosts.failed(rpc.address);
        else hosts.prefer(error.leader);
        await sleep(backOff.nextMs(), this.closing.signal);
        // An attempt whose answer comes too late would turn what is certain into an unknown outcome.
        const answerMs = Math.min(LIMITS.clientAnswerMs, timeoutMs / 4);
        if (!question.doubtful && question.giveUpMs - performance.now() < answerMs)
          throw this.finalFailure(question, error);
      }
    }
  }

  private finalFailure<Result>({ doubtful, inDoubt }: Question<Result>, error: FlotillaError): FlotillaError {
    if (doubtful && error.code !== 'SEQUENCE_REUSED') return inDoubt(error);
    return error.code === 'UNREACHABLE' ? unreachableError(this.context.hosts, error) : error;
  }

  private connect(): EventRpc {
    this.rpc ??= new RpcClient(proto.EventServiceDefinition, this.context.hosts.preferred);
    return this.rpc;
  }

  private disconnect(): void {
    this.rpc?.close();
    this.rpc = undefined;
  }
}

function isSame(one: PackedBody, other: PackedBody): boolean {
  return one.count === other.count && one.checksum === other.checksum && one.body.byteLength === other.body.byteLength;
}

/** A cluster that has just been formed, or upgraded, raises its version within moments. */
function mayPass({ code }: FlotillaError, waitedMs: number): boolean {
  return code === 'UPGRADE_NEEDED' && waitedMs < LIMITS.producerAttemptMs;
}
