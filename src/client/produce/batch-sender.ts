import { type ErrorCode, FlotillaError, LIMITS, messageOf } from '../../base/index.js';
import type { NewEvent } from '../../event/index.js';
import { deferred } from '../connection/deferred.js';
import type { Hosts } from '../connection/hosts.js';
import type { Batch } from './batch.js';
import { LinkKeeper } from './link-keeper.js';
import { Numbering } from './numbering.js';
import { PendingBatches } from './pending-batches.js';
import { PendingCall } from './pending-call.js';
import type { OpenLink, ProduceLink, ProduceLinkEvents } from './produce-link.js';
import type { ProducerIdentity } from './producer-identity.js';
import type { BatchReceipt, Receipt } from './receipt.js';

export interface BatchSenderOptions {
  /** Empty: the producer has no name. */
  readonly name: string;
  readonly identity: ProducerIdentity;
  readonly hosts: Hosts;
  readonly openLink: OpenLink;
  readonly followLeader: boolean;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly onConnected: (address: string) => void;
}

/** The stream does not know the producer, or not as the client does: one without a name goes on as another one. */
const UNKNOWN_PRODUCER: ReadonlySet<ErrorCode> = new Set([
  'PRODUCER_EXPIRED',
  'PRODUCER_FENCED',
  'SEQUENCE_GAP',
  'SEQUENCE_REUSED',
  'POSITION_MISMATCH',
]);

/** The batch before this one is not there: it may be on its way. */
const OUT_OF_TURN: ReadonlySet<ErrorCode> = new Set(['SEQUENCE_GAP', 'PRODUCER_EXPIRED']);

/**
 * Batches, sends, and settles. What is produced within one turn of the event loop, and whatever waits while the window
 * of batches in flight is full, goes into the next batch: no timer ever lingers. A named producer's batches are its
 * calls.
 *
 * Order: batches are sent in the order of their calls. After the first one that has to be sent again nothing else is
 * sent on that link; when all in flight are answered, those to be sent again go first, in their old order.
 */
export class BatchSender implements ProduceLinkEvents {
  private readonly options: BatchSenderOptions;
  private readonly pending: PendingBatches;
  private readonly numbering: Numbering;
  private readonly keeper: LinkKeeper;
  private window: number = LIMITS.clientBatchesInFlight;
  /**
   * Batches have lost their numbers: nothing is sent before those in flight are answered, or it would overtake them.
   */
  private awaitsAnswers = false;
  private pumpScheduled = false;
  private lastError: FlotillaError | undefined;
  private deadlineTimer: NodeJS.Timeout | undefined;
  private closing: { readonly done: Promise<void>; readonly finish: () => void } | undefined;

  constructor(options: BatchSenderOptions) {
    this.options = options;
    const callsPerBatch = options.name === '' ? LIMITS.eventsPerBatch : 1;
    this.pending = new PendingBatches({ callsPerBatch, onEmpty: () => this.emptied() });
    this.numbering = new Numbering(options.name, options.identity, this.pending);
    this.keeper = new LinkKeeper(
      {
        ...options,
        onReady: () => this.schedule(),
        onRefused: options.onConnected,
        onFailedAttempt: (error) => this.connectingFailed(error),
        onUnreachable: (error) => this.rejectAll(error),
      },
      this,
    );
  }

  /** Takes in the events of one call; they are appended together or not at all. */
  submit(events: readonly NewEvent[], bytes: number): Promise<Receipt> {
    if (this.closing !== undefined) return Promise.reject(new FlotillaError('CANCELLED', 'the producer is closed'));
    const call = new PendingCall(events, bytes, performance.now() + this.options.timeoutMs);
    try {
      this.pending.calls.add(call);
    } catch (error) {
      return Promise.reject(error);
    }
    this.deadlineTimer ??= setTimeout(() => this.expire(), this.options.timeoutMs);
    this.schedule();
    return call.promise;
  }

  get lastSequence(): number {
    return this.numbering.lastSequence;
  }

  get writable(): boolean {
    return this.pending.calls.writable;
  }

  drained(): Promise<void> | undefined {
    return this.pending.calls.drained();
  }

  /** Takes nothing more in, waits until every call has its answer, and disconnects. */
  close(): Promise<void> {
    if (this.closing === undefined) {
      const { promise, resolve } = deferred<void>();
      this.closing = { done: promise.then(() => this.keeper.close()), finish: resolve };
      if (this.pending.calls.size === 0) resolve();
    }
    return this.closing.done;
  }

  onReceipt(_link: ProduceLink, requestId: number, receipt: BatchReceipt): void {
    const batch = this.pending.answered(requestId);
    if (batch === undefined) return;
    this.keeper.succeeded();
    this.lastError = undefined;
    this.window = LIMITS.clientBatchesInFlight;
    this.numbering.settle(batch, receipt.incarnation);
    try {
      batch.acknowledge(receipt, this.pending.settled);
    } catch (error) {
      this.pending.reject(batch, unknownOutcome(messageOf(error), error));
    }
    this.schedule();
  }

  onFailure(link: ProduceLink, requestId: number, error: FlotillaError): void {
    const batch = this.pending.answered(requestId);
    if (batch === undefined) return;
    const isOutOfTurn = OUT_OF_TURN.has(error.code) && this.numbering.hasEarlier(batch);
    if (batch.number === undefined) {
      this.pending.putBack(batch);
    } else if (error.uncertain || error.retryable || isOutOfTurn) {
      this.lastError = error;
      if (error.uncertain) batch.maybeProposed = true;
      this.pending.putBack(batch);
      this.keeper.leave(link, error);
    } else if (this.refused(batch, error)) {
      this.keeper.leave(link, error);
    }
    this.schedule();
  }

  onLeader(link: ProduceLink, address: string, members: readonly string[]): void {
    for (const member of members) this.options.hosts.learn(member);
    this.keeper.leaderKnown(link, address);
  }

  onEnd(link: ProduceLink, error: FlotillaError): void {
    if (!this.keeper.isCurrent(link)) return;
    this.lastError = error;
    const lost = this.pending.takeInFlight();
    if (isRefusal(error)) this.refusedStream(lost, error);
    else this.putBackAll(lost, error);
    this.keeper.lost(link, error);
  }

  /**
   * Sends at the end of this turn, when everything that the turn produces is there: also what callers produce on
   * hearing of the receipts before it.
   */
  private schedule(): void {
    if (this.pumpScheduled) return;
    this.pumpScheduled = true;
    setImmediate(() => {
      this.pumpScheduled = false;
      this.pump();
    });
  }

  private pump(): void {
    if (this.keeper.draining) {
      if (this.pending.inFlightCount === 0) this.keeper.changeOver();
      return;
    }
    if (this.pending.inFlightCount === 0) this.awaitsAnswers = false;
    const link = this.keeper.open;
    if (link === undefined) {
      if (this.pending.hasWork) this.keeper.want();
      return;
    }
    while (!this.awaitsAnswers && this.pending.inFlightCount < this.windowLeft && link.endedWith === undefined) {
      const next = this.pending.sendNext(performance.now(), this.answerMs);
      if (next === undefined) return;
      const { identity, sequence } = this.numbering.assign(next.batch);
      link.send(next.requestId, next.batch.packed, identity.stamp(sequence));
    }
  }

  private get windowLeft(): number {
    return this.numbering.hasUnsettled ? 1 : this.window;
  }

  private connectingFailed(error: FlotillaError): void {
    // What a node answered says more than that another one can't be reached.
    if (error.code === 'UNREACHABLE') this.lastError ??= error;
    else this.lastError = error;
    if (isRefusal(error)) this.refusedStream([], error);
  }

  private putBackAll(batches: readonly Batch[], error: FlotillaError): void {
    for (const batch of batches) {
      if (!error.retryable && batch.number !== undefined) batch.maybeProposed = true;
      this.pending.putBack(batch);
    }
  }

  /**
   * The node ended the whole stream because of one of its batches. Sent again one by one, the batch to blame gets the
   * error, and no other.
   */
  private refusedStream(lost: readonly Batch[], error: FlotillaError): void {
    const [only] = lost;
    // It was refused before the first batch: for its stream, or as a whole.
    if (only === undefined) this.rejectAll(error);
    else if (lost.length === 1) this.refused(only, error);
    else {
      this.window = 1;
      this.putBackAll(lost, error);
    }
  }

  /** A batch was refused for what it is, or for its number. True where it is sent again. */
  private refused(batch: Batch, error: FlotillaError): boolean {
    if (batch.maybeProposed && error.code !== 'SEQUENCE_REUSED') {
      // A refusal of the second attempt says nothing of the first.
      this.pending.reject(batch, this.unknown(batch, `sent again, it was refused: ${error.message}`, error));
      this.givenUp([batch]);
      return false;
    }
    this.awaitsAnswers = true;
    const isNamed = this.options.name !== '';
    if (isNamed && error.code === 'SEQUENCE_REUSED') {
      this.numbering.settle(batch, '');
      this.pending.reject(batch, error);
      return false;
    }
    const numberIsWrong = isNamed ? error.code === 'SEQUENCE_GAP' : UNKNOWN_PRODUCER.has(error.code);
    this.numbering.skip(batch, (other) => this.unknown(other, 'the batch before it was refused', error));
    if (numberIsWrong) {
      batch.maybeProposed = false;
      this.pending.putBack(batch);
      return true;
    }
    const calls = batch.split();
    if (calls.length === 1) this.pending.reject(batch, error);
    // One of the calls is to blame; alone, each gets its own answer.
    else for (const call of calls) this.pending.putBack(call);
    return false;
  }

  /** The time that the last attempt of a call must have for its answer. */
  private get answerMs(): number {
    return Math.min(LIMITS.clientAnswerMs, this.options.timeoutMs / 4);
  }

  /** One timer for all calls: their deadlines come in the order in which they were made. */
  private expire(): void {
    const nowMs = performance.now();
    const next = this.pending.expire(nowMs, (batch) => this.timeOut(batch));
    this.dropAbandoned();
    this.deadlineTimer = next === undefined ? undefined : setTimeout(() => this.expire(), Math.max(1, next - nowMs));
    this.schedule();
  }

  /**
   * Batches of which all callers have given up. One that may be in the stream is sent on as long as other batches wait
   * behind it, which can't go in without it.
   */
  private dropAbandoned(): void {
    const numbered = this.pending.numbered();
    for (const batch of numbered.filter((each) => !each.isWaitedFor && !each.maybeProposed)) {
      this.pending.drop(batch);
      this.awaitsAnswers = true;
      this.numbering.skip(batch, (other) => this.unknown(other, 'the batch before it was given up', this.lastError));
    }
    const open = this.pending.numbered();
    const lastWaited = open.findLastIndex(({ isWaitedFor }) => isWaitedFor);
    const abandoned = open.filter(
      ({ isWaitedFor }, at) => !isWaitedFor && (this.options.name !== '' || at > lastWaited),
    );
    if (abandoned.length === 0) return;
    for (const batch of abandoned) this.pending.drop(batch);
    this.givenUp(abandoned);
  }

  /** What waits behind a batch of a named producer that was given up is not sent: its number is not settled. */
  private givenUp(batches: readonly Batch[]): void {
    if (this.options.name === '') {
      this.numbering.giveUp(batches);
      return;
    }
    const open = this.pending.numbered();
    this.pending.rejectAll((batch) =>
      batch?.maybeProposed === true
        ? this.unknown(batch, 'so is the batch before it', this.lastError)
        : new FlotillaError(
            'NOT_READY',
            'the outcome of the batch before this one is unknown; this one was not sent: settle that one first',
          ),
    );
    this.numbering.giveUp([...batches, ...open]);
  }

  private rejectAll(error: FlotillaError): void {
    const open = this.pending.numbered();
    this.pending.rejectAll((batch) =>
      batch?.maybeProposed === true ? this.unknown(batch, error.message, error) : error,
    );
    this.numbering.giveUp(open);
  }

  private timeOut(batch: Batch | undefined): FlotillaError {
    const last = this.lastError;
    const why = `within ${this.options.timeoutMs} ms${last === undefined ? '' : `; the last attempt: ${last.message}`}`;
    if (batch?.maybeProposed === true) return this.unknown(batch, `no answer ${why}`, last);
    const code = last?.retryable === true ? last.code : 'UNREACHABLE';
    return new FlotillaError(code, `not appended: no node took the events ${why}`, {
      cause: last,
      leader: last?.leader,
    });
  }

  private unknown({ number }: Batch, why: string, cause: unknown): FlotillaError {
    if (this.options.name === '') return unknownOutcome(why, cause);
    const what = `no node has said for certain whether batch ${number?.sequence} is there`;
    return new FlotillaError('OUTCOME_UNKNOWN', `${what}; append the same events again: ${why}`, { cause });
  }

  private emptied(): void {
    clearTimeout(this.deadlineTimer);
    this.deadlineTimer = undefined;
    this.closing?.finish();
  }
}

/** It says for certain that nothing was appended, and that the same will be said again. */
function isRefusal(error: FlotillaError): boolean {
  return !error.retryable && !error.uncertain;
}

function unknownOutcome(why: string, cause: unknown): FlotillaError {
  return new FlotillaError('OUTCOME_UNKNOWN', `the events may have been appended, or may still be: ${why}`, { cause });
}
