import { FlotillaError, LIMITS } from '../base/index.js';
import { checkProducerName, type EventLimits } from '../event/index.js';
import { type CallOptions, RpcClient } from '../rpc/index.js';
import { packBody, proto } from '../wire/index.js';
import { BackOff } from './back-off.js';
import { sleep } from './connect.js';
import { type EventInput, toNewEvents } from './event-input.js';
import { unreachableError } from './link-keeper.js';
import type { ReaderContext } from './reader.js';
import { firstIdOf, Receipt } from './receipt.js';

type EventRpc = RpcClient<typeof proto.EventServiceDefinition>;

/** Failures that leave open whether the stream has taken what was asked for. */
const UNKNOWN: ReadonlySet<string> = new Set(['OUTCOME_UNKNOWN', 'DEADLINE_EXCEEDED', 'CANCELLED', 'INTERNAL', 'DATA_LOSS']);

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
  private readonly signal: AbortSignal;
  private opened: proto.OpenProducerResponse = { producerId: 0, epoch: 0, lastSequence: 0, incarnation: '' };
  private rpc: EventRpc | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  private constructor(name: string, options: { context: ReaderContext; limits: EventLimits; signal: AbortSignal }) {
    checkProducerName(name, 'name');
    this.name = name;
    this.context = options.context;
    this.limits = options.limits;
    this.signal = options.signal;
    this.signal.addEventListener('abort', () => this.disconnect(), { once: true });
  }

  /** See FlotillaClient.openProducer. */
  static async open(
    name: string,
    options: { context: ReaderContext; limits: EventLimits; signal: AbortSignal },
  ): Promise<IdempotentProducer> {
    const producer = new IdempotentProducer(name, options);
    // Whoever hears no answer may have opened it, and opens it again.
    producer.opened = await producer.ask((rpc, call) => rpc.unary('openProducer', { stream: options.context.stream, name }, call));
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
   * whether it is there. Its number is then still to be settled: append the same
   * events again. Other events are refused (SEQUENCE_REUSED) where the first are
   * there. Rejects with PRODUCER_FENCED where another has opened the name since,
   * with PRODUCER_EXPIRED where the stream does not remember the producer any
   * more, and else like `FlotillaClient.append`.
   */
  append(events: readonly EventInput[]): Promise<Receipt> {
    if (this.waiting >= LIMITS.producerCallsWaiting)
      return Promise.reject(
        new FlotillaError('TOO_MANY_REQUESTS', `${this.waiting} batches of this producer wait for their turn; await some`),
      );
    this.waiting++;
    const turn = this.last.then(() => this.appendNext(events)).finally(() => this.waiting--);
    this.last = turn.catch(() => undefined);
    return turn;
  }

  private async appendNext(events: readonly EventInput[]): Promise<Receipt> {
    const { producerId, epoch, lastSequence } = this.opened;
    const sequence = lastSequence + 1;
    const { body, count, checksum } = packBody(toNewEvents(events, this.limits));
    const request = {
      stream: this.context.stream,
      events: [],
      packed: { body, count, checksum },
      producer: { producerId, epoch, sequence },
    };
    const { receipt } = await this.ask((rpc, call) => rpc.unary('append', request, call));
    if (receipt === undefined) throw new FlotillaError('INTERNAL', 'a node acknowledged without a receipt');
    this.opened = { ...this.opened, lastSequence: sequence };
    return new Receipt(firstIdOf(receipt, count), count, receipt, false);
  }

  /** Asks one node after another until one answers for certain: what is asked for has the same effect once and many times. */
  private async ask<Result>(question: (rpc: EventRpc, call: CallOptions) => Promise<Result>): Promise<Result> {
    const { hosts, timeoutMs } = this.context;
    const backOff = new BackOff();
    const beginMs = performance.now();
    const giveUpMs = beginMs + timeoutMs;
    let doubt: FlotillaError | undefined;
    for (;;) {
      const rpc = this.connect();
      try {
        const leftMs = Math.max(1, giveUpMs - performance.now());
        return await question(rpc, { timeoutMs: Math.min(leftMs, LIMITS.producerAttemptMs), signal: this.signal });
      } catch (error) {
        if (!(error instanceof FlotillaError)) throw error;
        if (UNKNOWN.has(error.code)) doubt = error;
        else if (!error.retryable && !mayPass(error, performance.now() - beginMs)) throw this.finalFailure(error, doubt);
        if (performance.now() >= giveUpMs || this.signal.aborted) throw this.finalFailure(error, doubt);
        this.disconnect();
        if (error.leader === undefined) hosts.failed(rpc.address);
        else hosts.prefer(error.leader);
      }
      await sleep(backOff.nextMs(), this.signal);
    }
  }

  /** A refusal of a later attempt says nothing of an earlier one, unless it is that other events are there. */
  private finalFailure(error: FlotillaError, doubt: FlotillaError | undefined): FlotillaError {
    if (doubt === undefined) return error.code === 'UNREACHABLE' ? unreachableError(this.context.hosts, error) : error;
    if (error.code === 'SEQUENCE_REUSED') return error;
    return new FlotillaError(
      'OUTCOME_UNKNOWN',
      `no node has said for certain whether it is there; append the same events again: ${error.message}`,
      {
        cause: error,
      },
    );
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

/** A cluster that has just been formed, or upgraded, raises its version within moments. */
function mayPass({ code }: FlotillaError, waitedMs: number): boolean {
  return code === 'UPGRADE_NEEDED' && waitedMs < LIMITS.producerAttemptMs;
}
