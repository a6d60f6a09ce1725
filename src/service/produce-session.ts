import { type ActorId, FlotillaError, LIMITS } from '../base/index.js';
import type { EventLimits } from '../event/index.js';
import type { Stream } from '../stream/index.js';
import type { Metrics } from '../telemetry/index.js';
import { authorize } from './authorize.js';
import type { Caller } from './caller.js';
import { type IncomingBatch, type NewBatch, type Receipt, receiptFor, takeIn } from './ingest.js';
import { findStream, type Streams, withLeader } from './streams.js';

/** A batch, and the number by which its producer knows the answer. */
export interface NumberedBatch {
  /** A number from 1 on, as text, because it may have all 64 bits. */
  readonly requestId: string;
  /** Or why it is none. */
  readonly batch: NewBatch | FlotillaError;
}

export type ProduceAnswer =
  | { readonly kind: 'receipt'; readonly requestId: string; readonly receipt: Receipt }
  | { readonly kind: 'failure'; readonly requestId: string; readonly failure: FlotillaError }
  /** Where the stream's leader is, and which other nodes could take batches: HOST:PORT. */
  | {
      readonly kind: 'leader';
      readonly actor: ActorId;
      readonly address: string;
      readonly members: readonly string[];
    };

/** A producer, as it sends and hears. */
export interface ProducerStream {
  /** Calls `onBatch` for each batch in turn, waiting for the promise that it may return. Resolves behind the last. */
  receive(onBatch: (batch: NumberedBatch) => Promise<void> | undefined): Promise<void>;
  /** A promise where the producer's pace has to be waited for; rejects with CANCELLED when it is gone. */
  answer(answer: ProduceAnswer): Promise<void> | undefined;
}

/**
 * One producer's stream: takes batches in as they come, answers each when it is
 * settled, and keeps at most so many open at a time.
 *
 * Batches keep their order. So once one was refused that might have gone in
 * later, those behind it are refused as well: the producer opens a new stream
 * and sends them all again. It is told so by the end of this one, as soon as
 * every batch is answered and a leader is known that would take them.
 */
export class ProduceSession {
  private readonly streams: Streams;
  private readonly limits: EventLimits;
  private readonly metrics: Metrics;
  private readonly caller: Caller;
  private readonly call: ProducerStream;
  private openBatches = 0;
  private openBytes = 0;
  private onSettled: (() => void) | undefined;
  private refusal: FlotillaError | undefined;
  private stream: Stream | undefined;
  /** The leader and its term: on another route a batch might overtake those that are open. */
  private route = '';
  /** What the producer was told last of the leader and the members. */
  private told = '';
  private readonly ending = new AbortController();
  private readonly stopped = rejection();

  constructor(options: {
    streams: Streams;
    limits: EventLimits;
    metrics: Metrics;
    caller: Caller;
    call: ProducerStream;
  }) {
    this.streams = options.streams;
    this.limits = options.limits;
    this.metrics = options.metrics;
    this.caller = options.caller;
    this.call = options.call;
  }

  /** Ends when the producer has sent its last and every batch is answered, or after {@link stop}. */
  async run(): Promise<void> {
    try {
      await Promise.race([this.call.receive((batch) => this.onBatch(batch)), this.stopped.promise]);
      await this.allSettled();
    } catch (error) {
      // A message that is refused with the whole stream says nothing of the batches before it: they are answered first.
      if (!isCancelled(error)) await this.allSettled();
      throw error;
    } finally {
      this.ending.abort();
    }
  }

  /**
   * The node is stopping. What was taken in is answered; then the stream ends
   * with `error`, which tells the producer that nothing else was proposed.
   */
  stop(error: FlotillaError): void {
    this.refusal ??= error;
    this.allSettled().then(() => this.stopped.reject(error), this.stopped.reject);
  }

  private async allSettled(): Promise<void> {
    while (this.openBatches > 0) await this.settled();
  }

  private onBatch(numbered: NumberedBatch): Promise<void> | undefined {
    const { requestId, batch } = numbered;
    try {
      if (batch instanceof FlotillaError) throw batch;
      authorize(this.caller, 'append', batch.stream);
      if (requestId === '0') throw new FlotillaError('INVALID_ARGUMENT', 'request_id: number the requests from 1 on');
      if (this.refusal !== undefined) throw this.refusal;
      const stream = findStream(this.streams, batch.stream);
      this.announceLeaderOf(stream);
      const route = `${stream.group.term} ${stream.group.leader}`;
      if (route !== this.route && this.openBatches > 0) return this.allSettled().then(() => this.onBatch(numbered));
      this.route = route;
      void this.append(stream, requestId, takeIn(batch, this.limits, stream));
    } catch (error) {
      return this.fail(requestId, error);
    }
    return this.isFull() ? this.settled() : undefined;
  }

  private async append(stream: Stream, requestId: string, { body, stamp }: IncomingBatch): Promise<void> {
    this.openBatches++;
    this.openBytes += body.body.byteLength;
    try {
      const proposed = await stream.submit(body, stamp);
      this.metrics.eventsIn.inc(body.count);
      this.metrics.bytesIn.inc(body.body.byteLength);
      this.metrics.batchesIn.inc();
      await this.send({ kind: 'receipt', requestId, receipt: receiptFor(stream, body, proposed) });
    } catch (error) {
      await this.fail(requestId, withLeader(error, this.streams.leaderAddress(stream)));
    } finally {
      this.openBatches--;
      this.openBytes -= body.body.byteLength;
      this.onSettled?.();
      this.onSettled = undefined;
      this.endBehindRefusal();
    }
  }

  private isFull(): boolean {
    return this.openBatches >= LIMITS.produceStreamInFlight || this.openBytes >= LIMITS.produceStreamInFlightBytes;
  }

  /** Resolves when one more batch is settled. */
  private settled(): Promise<void> {
    return new Promise((resolve) => {
      const before = this.onSettled;
      this.onSettled = () => {
        before?.();
        resolve();
      };
    });
  }

  private fail(requestId: string, error: unknown): Promise<void> | undefined {
    if (!(error instanceof FlotillaError)) throw error;
    if (error.retryable || error.code === 'OUTCOME_UNKNOWN') {
      this.refusal ??= behind(error);
      setImmediate(() => this.endBehindRefusal());
    }
    this.metrics.refusals.inc({ code: error.code });
    return this.send({ kind: 'failure', requestId, failure: error });
  }

  /** Nothing more can come of this stream, and the producer knows of a leader: it can open another. */
  private endBehindRefusal(): void {
    if (this.refusal === undefined || this.openBatches > 0 || this.stream === undefined) return;
    if (this.stream.group.leader === undefined || this.newsOf(this.stream) !== this.told) return;
    this.stopped.reject(this.refusal);
  }

  /**
   * Tells where the stream's leader is, and which other nodes could take batches, now and whenever that changes: also
   * when batches were refused because there was none.
   */
  private announceLeaderOf(stream: Stream): void {
    if (this.stream === stream) return;
    this.stream = stream;
    void this.announceLeaders(stream);
  }

  private async announceLeaders(stream: Stream): Promise<void> {
    while (!this.ending.signal.aborted && this.stream === stream) {
      const { leader } = stream.group;
      const address = this.streams.leaderAddress(stream);
      const news = this.newsOf(stream);
      if (leader !== undefined && address !== undefined && news !== this.told) {
        this.told = news;
        const members = this.streams.memberAddresses();
        await this.send({ kind: 'leader', actor: leader, address, members });
        this.endBehindRefusal();
      }
      await stream.group.roleChanged(this.ending.signal);
    }
  }

  private newsOf(stream: Stream): string {
    return [stream.group.leader, this.streams.leaderAddress(stream), ...this.streams.memberAddresses()].join(' ');
  }

  /** A producer that is gone needs no answer: its stream has ended by itself. */
  private async send(answer: ProduceAnswer): Promise<void> {
    if (this.ending.signal.aborted) return;
    try {
      await this.call.answer(answer);
    } catch (error) {
      if (!isCancelled(error)) throw error;
      this.ending.abort();
    }
  }
}

function isCancelled(error: unknown): boolean {
  return error instanceof FlotillaError && error.code === 'CANCELLED';
}

/** What the batches behind a failed one are told: they were not proposed. */
function behind(error: FlotillaError): FlotillaError {
  if (error.retryable) return error;
  return new FlotillaError(
    'NOT_LEADER',
    'an earlier batch of this stream has an unknown outcome; this one was not proposed: send it on a new stream',
  );
}

/** A promise that never resolves, and the means to reject it. */
function rejection(): { readonly promise: Promise<never>; readonly reject: (error: unknown) => void } {
  let rejectPromise: ((error: unknown) => void) | undefined;
  const promise = new Promise<never>((_resolve, reject) => {
    rejectPromise = reject;
  });
  return { promise, reject: (error) => rejectPromise?.(error) };
}
