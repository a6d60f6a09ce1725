import type { FlotillaError } from '../../base/index.js';
import { type Batch, insertInOrder, takeBatch } from './batch.js';
import { type PendingCall, PendingCalls } from './pending-call.js';

/** The answer for a call that will not be waited for any longer; without a batch it was never sent. */
export type ErrorFor = (batch: Batch | undefined) => FlotillaError;

/**
 * Everything without an answer: calls that wait, batches that have to be sent (again), batches in flight. It knows
 * their order, their capacity and their deadlines.
 */
export class PendingBatches {
  readonly calls = new PendingCalls();
  private readonly inFlight = new Map<number, Batch>();
  /** Closed batches that have to be sent, or sent again, in order. */
  private readonly unsent: Batch[] = [];
  private readonly callsPerBatch: number;
  private readonly onEmpty: () => void;
  private requestId = 0;
  private batchOrder = 0;

  constructor({ callsPerBatch, onEmpty }: { readonly callsPerBatch: number; readonly onEmpty: () => void }) {
    this.callsPerBatch = callsPerBatch;
    this.onEmpty = onEmpty;
  }

  get hasWork(): boolean {
    return this.calls.waitingLength > 0 || this.unsent.length > 0;
  }

  get inFlightCount(): number {
    return this.inFlight.size;
  }

  /**
   * Moves the next batch into flight; undefined where there is none, or it has to wait for those in flight, or,
   * certainly not proposed so far, has no more than `answerMs` left: an attempt whose answer comes too late would turn
   * that into an unknown outcome.
   */
  sendNext(nowMs: number, answerMs: number): { readonly requestId: number; readonly batch: Batch } | undefined {
    for (;;) {
      const again = this.unsent[0];
      if (again !== undefined && !again.maybeProposed && again.expiresBefore(nowMs + answerMs)) return undefined;
      const batch = this.unsent.shift() ?? takeBatch(this.batchOrder++, this.calls, this.callsPerBatch);
      if (batch === undefined) return undefined;
      batch.dropSettledCalls();
      // All its callers have given up on it. If it has a number, other batches may wait behind it.
      if (batch.number === undefined && !batch.isWaitedFor) continue;
      if (this.inFlight.size > 0 && (batch.lone || this.isLoneInFlight())) {
        this.unsent.unshift(batch);
        return undefined;
      }
      this.requestId++;
      this.inFlight.set(this.requestId, batch);
      return { requestId: this.requestId, batch };
    }
  }

  /** Takes the batch of an answer out of flight. */
  answered(requestId: number): Batch | undefined {
    const batch = this.inFlight.get(requestId);
    this.inFlight.delete(requestId);
    return batch;
  }

  /** Takes out everything in flight, in order: it will have no answer. */
  takeInFlight(): Batch[] {
    const batches = [...this.inFlight.values()];
    this.inFlight.clear();
    return batches;
  }

  /** Puts a batch that is to be sent, or sent again, at its old place. */
  putBack(batch: Batch): void {
    insertInOrder(this.unsent, batch);
  }

  /** Those that have a number and no answer, in order. */
  numbered(): Batch[] {
    return [...this.inFlight.values(), ...this.unsent]
      .filter(({ number }) => number !== undefined)
      .sort((one, other) => one.order - other.order);
  }

  isInFlight(batch: Batch): boolean {
    for (const other of this.inFlight.values()) if (other === batch) return true;
    return false;
  }

  /** Tells the callers of a batch that failed, and takes it out. */
  reject(batch: Batch, error: FlotillaError): void {
    this.drop(batch);
    batch.reject(error, this.settled);
  }

  /** Takes a batch out that is not sent again. */
  drop(batch: Batch): void {
    const position = this.unsent.indexOf(batch);
    if (position >= 0) this.unsent.splice(position, 1);
    for (const [requestId, other] of this.inFlight) if (other === batch) this.inFlight.delete(requestId);
  }

  /** Settles the calls whose time is up. Returns the next deadline; undefined where nothing waits. */
  expire(nowMs: number, errorFor: ErrorFor): number | undefined {
    let next = Number.POSITIVE_INFINITY;
    const visit = (call: PendingCall, batch: Batch | undefined): void => {
      if (call.deadlineMs > nowMs) next = Math.min(next, call.deadlineMs);
      else if (call.reject(errorFor(batch))) this.settled(call);
    };
    for (const batch of this.inFlight.values()) {
      const { waitingCalls } = batch;
      // It is told to be unknown, and stays what it was: all of its events go together.
      if (waitingCalls.some(({ deadlineMs }) => deadlineMs <= nowMs)) batch.maybeProposed = true;
      for (const call of waitingCalls) visit(call, batch);
    }
    for (const batch of this.unsent) for (const call of batch.waitingCalls) visit(call, batch);
    // Calls wait in the order of their deadlines.
    for (let call = this.calls.peek(); call !== undefined; call = this.calls.peek()) {
      visit(call, undefined);
      if (!call.settled) break;
      this.calls.shift();
    }
    return next === Number.POSITIVE_INFINITY ? undefined : next;
  }

  rejectAll(errorFor: ErrorFor): void {
    for (const batch of this.takeInFlight()) {
      batch.maybeProposed = true;
      batch.reject(errorFor(batch), this.settled);
    }
    for (const batch of this.unsent.splice(0)) batch.reject(errorFor(batch), this.settled);
    for (let call = this.calls.shift(); call !== undefined; call = this.calls.shift()) {
      if (call.reject(errorFor(undefined))) this.settled(call);
    }
  }

  /** A call has its answer: gives back its capacity. */
  readonly settled = (call: PendingCall): void => {
    this.calls.release(call);
    if (this.calls.size === 0) this.onEmpty();
  };

  private isLoneInFlight(): boolean {
    for (const batch of this.inFlight.values()) return batch.lone;
    return false;
  }
}
