import { FlotillaError, LIMITS, messageOf } from '../base/index.js';
import type { EventLimits } from '../event/index.js';
import type { Replica } from '../replica/index.js';
import type { DuplexStream } from '../rpc/index.js';
import type { Metrics } from '../telemetry/index.js';
import type { proto } from '../wire/index.js';
import { type IncomingBatch, receiptFor, takeIn } from './ingest.js';
import { findStream, type Streams, withLeader } from './streams.js';
import type { BatchRequest } from './take-body.js';

type ProduceStream = DuplexStream<proto.ProduceRequest, proto.ProduceResponse>;

/**
 * One producer's stream: takes batches in as they come, answers each when it is
 * settled, and keeps at most so many open at a time.
 *
 * Batches keep their order. So once one was refused that might have gone in
 * later, those behind it are refused as well: the producer opens a new stream
 * and sends them all again. It is told so by the end of this one, as soon as
 * every batch is answered and a leader is known who would take them.
 */
export class ProduceSession {
  private readonly streams: Streams;
  private readonly limits: EventLimits;
  private readonly metrics: Metrics;
  private readonly stream: ProduceStream;
  private openBatches = 0;
  private openBytes = 0;
  private room: (() => void) | undefined;
  private refusal: FlotillaError | undefined;
  private replica: Replica | undefined;
  /** Who leads, in which term: on another route a batch might overtake those that are open. */
  private route = '';
  /** What the producer was told last of the leader and the members. */
  private told = '';
  private readonly ending = new AbortController();
  private readonly stopped = rejection();

  constructor(options: { streams: Streams; limits: EventLimits; metrics: Metrics; stream: ProduceStream }) {
    this.streams = options.streams;
    this.limits = options.limits;
    this.metrics = options.metrics;
    this.stream = options.stream;
  }

  /** Ends when the producer has sent its last and every batch is answered, or after {@link stop}. */
  async run(): Promise<void> {
    try {
      await Promise.race([this.stream.receive((request) => this.onRequest(request)), this.stopped.promise]);
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

  private onRequest(request: proto.ProduceRequest & Pick<BatchRequest, 'taken'>): Promise<void> | undefined {
    const { requestId, taken } = request;
    try {
      if (taken instanceof FlotillaError) throw taken;
      if (requestId === '0') throw new FlotillaError('INVALID_ARGUMENT', 'request_id: number the requests from 1 on');
      if (this.refusal !== undefined) throw this.refusal;
      const replica = findStream(this.streams, request.stream);
      this.announceLeaderOf(replica);
      const route = `${replica.term} ${replica.leader}`;
      if (route !== this.route && this.openBatches > 0) return this.allSettled().then(() => this.onRequest(request));
      this.route = route;
      void this.append(replica, requestId, takeIn(request, this.limits, replica));
    } catch (error) {
      return this.fail(requestId, error);
    }
    return this.isFull() ? this.settled() : undefined;
  }

  private async append(replica: Replica, requestId: string, { body, stamp }: IncomingBatch): Promise<void> {
    this.openBatches++;
    this.openBytes += body.body.byteLength;
    try {
      const proposed = await replica.submit(body, stamp);
      this.metrics.eventsIn.inc(body.count);
      this.metrics.bytesIn.inc(body.body.byteLength);
      this.metrics.batchesIn.inc();
      await this.send({ requestId, outcome: { $case: 'receipt', value: receiptFor(replica, body, proposed) } });
    } catch (error) {
      await this.fail(requestId, withLeader(error, this.streams.leaderAddress(replica)));
    } finally {
      this.openBatches--;
      this.openBytes -= body.body.byteLength;
      this.room?.();
      this.room = undefined;
      this.endBehindRefusal();
    }
  }

  private isFull(): boolean {
    return this.openBatches >= LIMITS.produceStreamInFlight || this.openBytes >= LIMITS.produceStreamInFlightBytes;
  }

  /** Resolves when one more batch is settled. */
  private settled(): Promise<void> {
    return new Promise((resolve) => {
      const before = this.room;
      this.room = () => {
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
    const failure = { code: error.code, message: messageOf(error), leader: error.leader ?? '' };
    return this.send({ requestId, outcome: { $case: 'failure', value: failure } });
  }

  /** Nothing more can come of this stream, and the producer knows of a leader: it can open another. */
  private endBehindRefusal(): void {
    if (this.refusal === undefined || this.openBatches > 0 || this.replica === undefined) return;
    if (this.replica.leader === undefined || this.newsOf(this.replica) !== this.told) return;
    this.stopped.reject(this.refusal);
  }

  /**
   * Tells where the stream's leader is, and who else could take batches, now and
   * whenever that changes: also when batches were refused because there was none.
   */
  private announceLeaderOf(replica: Replica): void {
    if (this.replica === replica) return;
    this.replica = replica;
    void this.announceLeaders(replica);
  }

  private async announceLeaders(replica: Replica): Promise<void> {
    while (!this.ending.signal.aborted && this.replica === replica) {
      const { leader } = replica;
      const address = this.streams.leaderAddress(replica);
      const news = this.newsOf(replica);
      if (leader !== undefined && address !== undefined && news !== this.told) {
        this.told = news;
        const members = this.streams.memberAddresses();
        await this.send({ requestId: '0', outcome: { $case: 'leader', value: { actorId: leader, address, members } } });
        this.endBehindRefusal();
      }
      await replica.roleChanged(this.ending.signal);
    }
  }

  private newsOf(replica: Replica): string {
    return [replica.leader, this.streams.leaderAddress(replica), ...this.streams.memberAddresses()].join(' ');
  }

  /** A producer that is gone needs no answer: its stream has ended by itself. */
  private async send(response: proto.ProduceResponse): Promise<void> {
    if (this.ending.signal.aborted) return;
    try {
      await this.stream.send(response);
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
