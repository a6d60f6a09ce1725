import { ERRORS, type ErrorCode, FlotillaError, LIMITS, messageOf } from '../base/index.js';
import type { NewEvent } from '../event/index.js';
import type { Batch } from './batch.js';
import type { Hosts } from './hosts.js';
import { Ledger } from './ledger.js';
import { LinkKeeper } from './link-keeper.js';
import { PendingCall } from './pending-call.js';
import type { OpenLink, ProduceLink, ProduceLinkEvents } from './produce-link.js';
import type { BatchReceipt, Receipt } from './receipt.js';

export interface ProducerOptions {
  readonly hosts: Hosts;
  readonly openLink: OpenLink;
  readonly followLeader: boolean;
  readonly onUnknown: 'retry' | 'fail';
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Events whose outcome is unknown are sent again. */
  readonly onRetry: (retry: Retry) => void;
  readonly onConnected: (address: string) => void;
}

/** Events that are sent again although an earlier attempt may have been appended. */
export interface Retry {
  readonly events: number;
  readonly cause: FlotillaError;
}

/** Codes that end a whole stream because of something in it that was refused. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'INVALID_ARGUMENT',
  'NOT_FOUND',
  'MESSAGE_TOO_LARGE',
  'FOREIGN_NODE',
]);

/** Codes of a batch's own failure that don't say whether it was proposed. */
const UNKNOWN: ReadonlySet<ErrorCode> = new Set([
  'OUTCOME_UNKNOWN',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'INTERNAL',
  'DATA_LOSS',
]);

/**
 * Batches, sends, and settles. What is produced within one turn of the event
 * loop, and whatever waits while the window of batches in flight is full, goes
 * into the next batch: no timer ever lingers.
 *
 * Order: batches are sent in the order of their calls. After the first one that
 * has to be sent again nothing else is sent on that link; when all in flight
 * are answered, those to be sent again go first, in their old order.
 */
export class Producer implements ProduceLinkEvents {
  private readonly options: ProducerOptions;
  private readonly ledger = new Ledger(() => this.emptied());
  private readonly keeper: LinkKeeper;
  private window: number = LIMITS.clientBatchesInFlight;
  private pumpScheduled = false;
  private lastError: FlotillaError | undefined;
  private deadlineTimer: NodeJS.Timeout | undefined;
  private closing: { readonly done: Promise<void>; readonly finish: () => void } | undefined;

  constructor(options: ProducerOptions) {
    this.options = options;
    this.keeper = new LinkKeeper(
      {
        ...options,
        onReady: () => this.schedule(),
        onFailedAttempt: (error) => {
          // What a node answered says more than that another one can't be reached.
          if (error.code === 'UNREACHABLE') this.lastError ??= error;
          else this.lastError = error;
          if (REFUSALS.has(error.code)) this.refusedStream([], error);
        },
        onUnreachable: (error) =>
          this.ledger.rejectAll((mayBeProposed) => (mayBeProposed ? unknownOutcome(error.message, error) : error)),
      },
      this,
    );
  }

  /** Takes in the events of one call; they are appended together or not at all. */
  submit(events: readonly NewEvent[], bytes: number): Promise<Receipt> {
    if (this.closing !== undefined) return Promise.reject(new FlotillaError('CANCELLED', 'the client is closed'));
    const call = new PendingCall(events, bytes, performance.now() + this.options.timeoutMs);
    try {
      this.ledger.calls.add(call);
    } catch (error) {
      return Promise.reject(error);
    }
    this.deadlineTimer ??= setTimeout(() => this.expire(), this.options.timeoutMs);
    this.schedule();
    return call.promise;
  }

  get writable(): boolean {
    return this.ledger.calls.writable;
  }

  drained(): Promise<void> | undefined {
    return this.ledger.calls.drained();
  }

  /** Takes nothing more in, waits until every call has its answer, and disconnects. */
  close(): Promise<void> {
    if (this.closing === undefined) {
      let finish: () => void = () => undefined;
      const done = new Promise<void>((resolve) => {
        finish = resolve;
      });
      this.closing = { done: done.then(() => this.keeper.close()), finish };
      if (this.ledger.calls.size === 0) finish();
    }
    return this.closing.done;
  }

  onReceipt(_link: ProduceLink, requestId: number, receipt: BatchReceipt): void {
    const batch = this.ledger.answered(requestId);
    if (batch === undefined) return;
    this.keeper.succeeded();
    this.lastError = undefined;
    this.window = LIMITS.clientBatchesInFlight;
    try {
      batch.acknowledge(receipt, this.ledger.settled);
    } catch (error) {
      batch.reject(unknownOutcome(messageOf(error), error), this.ledger.settled);
    }
    this.schedule();
  }

  onFailure(link: ProduceLink, requestId: number, error: FlotillaError): void {
    const batch = this.ledger.answered(requestId);
    if (batch === undefined) return;
    if (UNKNOWN.has(error.code)) {
      this.outcomeUnknown(batch, error);
      this.keeper.leave(link, error);
    } else if (ERRORS[error.code].retryable) {
      this.lastError = error;
      this.ledger.putBack(batch);
      this.keeper.leave(link, error);
    } else {
      this.refused(batch, error);
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
    const lost = this.ledger.takeInFlight();
    if (REFUSALS.has(error.code)) this.refusedStream(lost, error);
    else {
      for (const batch of lost) {
        if (ERRORS[error.code].retryable) this.ledger.putBack(batch);
        else this.outcomeUnknown(batch, error);
      }
    }
    this.keeper.lost(link, error);
  }

  /**
   * Sends at the end of this turn, when everything that the turn produces is
   * there: also what callers produce on hearing of the receipts before it.
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
      if (this.ledger.inFlightCount === 0) this.keeper.changeOver();
      return;
    }
    const link = this.keeper.open;
    if (link === undefined) {
      if (this.ledger.hasWork) this.keeper.want();
      return;
    }
    while (this.ledger.inFlightCount < this.window && link.endedWith === undefined) {
      const next = this.ledger.sendNext(performance.now(), this.answerMs);
      if (next === undefined) return;
      link.send(next.requestId, next.batch.packed);
    }
  }

  /**
   * The node ended the whole stream because of one of its batches. Sent again
   * one by one, the batch to blame gets the error, and no other.
   */
  private refusedStream(lost: readonly Batch[], error: FlotillaError): void {
    const [only] = lost;
    if (only === undefined) {
      // It was refused before the first batch: for its stream, or as a whole.
      this.ledger.rejectAll((mayBeProposed) => (mayBeProposed ? unknownOutcome(error.message, error) : error));
    } else if (lost.length === 1) {
      this.refused(only, error);
    } else {
      this.window = 1;
      for (const batch of lost) this.outcomeUnknown(batch, error);
    }
  }

  private refused(batch: Batch, error: FlotillaError): void {
    if (batch.maybeProposed) {
      // A refusal of the second attempt says nothing of the first.
      batch.reject(unknownOutcome(`sent again, it was refused: ${error.message}`, error), this.ledger.settled);
      return;
    }
    const calls = batch.split();
    if (calls.length === 1) batch.reject(error, this.ledger.settled);
    // One of the calls is to blame; alone, each gets its own answer.
    else for (const call of calls) this.ledger.putBack(call);
  }

  private outcomeUnknown(batch: Batch, error: FlotillaError): void {
    this.lastError = error;
    batch.maybeProposed = true;
    if (this.options.onUnknown === 'fail') {
      batch.reject(unknownOutcome(error.message, error), this.ledger.settled);
    } else if (batch.waitingCalls.length > 0) {
      this.ledger.putBack(batch);
      this.options.onRetry({ events: batch.eventCount, cause: error });
    }
  }

  /** The time that the last attempt of a call must have for its answer. */
  private get answerMs(): number {
    return Math.min(LIMITS.clientAnswerMs, this.options.timeoutMs / 4);
  }

  /** One timer for all calls: their deadlines come in the order in which they were made. */
  private expire(): void {
    const nowMs = performance.now();
    const next = this.ledger.expire(nowMs, (mayBeProposed) => this.timeOut(mayBeProposed));
    this.deadlineTimer = next === undefined ? undefined : setTimeout(() => this.expire(), Math.max(1, next - nowMs));
    this.schedule();
  }

  private timeOut(mayBeProposed: boolean): FlotillaError {
    const last = this.lastError;
    const why = `within ${this.options.timeoutMs} ms${last === undefined ? '' : `; the last attempt: ${last.message}`}`;
    if (mayBeProposed) return unknownOutcome(`no answer ${why}`, last);
    const code = last?.retryable === true ? last.code : 'UNREACHABLE';
    return new FlotillaError(code, `not appended: no node took the events ${why}`, {
      cause: last,
      leader: last?.leader,
    });
  }

  private emptied(): void {
    clearTimeout(this.deadlineTimer);
    this.deadlineTimer = undefined;
    this.closing?.finish();
  }
}

function unknownOutcome(why: string, cause: unknown): FlotillaError {
  return new FlotillaError('OUTCOME_UNKNOWN', `the events may have been appended, or may still be: ${why}`, { cause });
}
