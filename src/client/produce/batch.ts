import { type FlotillaError, LIMITS } from '../../base/index.js';
import type { NewEvent } from '../../event/index.js';
import { type PackedBody, packBody } from '../../wire/index.js';
import type { PendingCall, PendingCalls } from './pending-call.js';
import type { BatchNumber } from './producer-identity.js';
import { type BatchReceipt, firstIdOf, receiptFor } from './receipt.js';

/** Calls that travel together: one encoded body, one outcome. */
export class Batch {
  /** Its place among the batches of this producer; kept when it is sent again. */
  readonly order: number;
  /** What became of an attempt is unknown: the events may be in the stream. */
  maybeProposed = false;
  /** It gets one when it is sent, and keeps it while it may be in the stream under it. */
  number: BatchNumber | undefined;
  private calls: readonly PendingCall[];
  private packedBody: PackedBody | undefined;

  constructor(order: number, calls: readonly PendingCall[]) {
    this.order = order;
    this.calls = calls;
  }

  get packed(): PackedBody {
    this.packedBody ??= packBody(this.events());
    return this.packedBody;
  }

  get lone(): boolean {
    return this.packed.body.byteLength > LIMITS.clientLoneBatchBytes;
  }

  get waitingCalls(): PendingCall[] {
    return this.calls.filter((call) => !call.settled);
  }

  get isWaitedFor(): boolean {
    return this.calls.some((call) => !call.settled);
  }

  /** Some of its callers wait, and at `nowMs` none will any more. */
  expiresBefore(nowMs: number): boolean {
    const { waitingCalls } = this;
    return waitingCalls.length > 0 && waitingCalls.every(({ deadlineMs }) => deadlineMs <= nowMs);
  }

  /**
   * Leaves out the calls that have been told that they failed. Not where an
   * attempt may have been appended: what is sent again is the very same then.
   */
  dropSettledCalls(): void {
    if (this.maybeProposed) return;
    const waiting = this.waitingCalls;
    if (waiting.length === this.calls.length) return;
    this.calls = waiting;
    this.packedBody = undefined;
  }

  /** Each call gets its own part of the receipt. Throws INTERNAL where the receipt is for something else. */
  acknowledge(receipt: BatchReceipt, onSettled: (call: PendingCall) => void): void {
    const batch = { first: firstIdOf(receipt, this.packed.count), entry: receipt };
    let offset = 0;
    for (const call of this.calls) {
      if (call.resolve(receiptFor(batch, offset, call.events.length))) onSettled(call);
      offset += call.events.length;
    }
  }

  reject(error: FlotillaError, onSettled: (call: PendingCall) => void): void {
    for (const call of this.calls) {
      if (call.reject(error)) onSettled(call);
    }
  }

  /** A batch for each call, for where one of them was refused and which is not known. */
  split(): Batch[] {
    return this.calls.map((call) => new Batch(this.order, [call]));
  }

  private events(): readonly NewEvent[] {
    const [first] = this.calls;
    if (this.calls.length === 1 && first !== undefined) return first.events;
    const events: NewEvent[] = [];
    for (const call of this.calls) {
      for (const event of call.events) events.push(event);
    }
    return events;
  }
}

/** Closes a batch over what waits, up to so many calls and the size of a batch; a larger call has one of its own. */
export function takeBatch(order: number, pending: PendingCalls, callsMax: number): Batch | undefined {
  const calls: PendingCall[] = [];
  let bytes = 0;
  let events = 0;
  for (let call = pending.peek(); call !== undefined; call = pending.peek()) {
    bytes += call.bytes;
    events += call.events.length;
    if (calls.length === callsMax) break;
    if (calls.length > 0 && (bytes > LIMITS.clientBatchBytes || events > LIMITS.eventsPerBatch)) break;
    calls.push(call);
    pending.shift();
  }
  return calls.length === 0 ? undefined : new Batch(order, calls);
}

/** Puts a batch back among those to be sent, at its place. */
export function insertInOrder(batches: Batch[], batch: Batch): void {
  let position = batches.length;
  while (position > 0 && (batches[position - 1]?.order ?? 0) > batch.order) position--;
  batches.splice(position, 0, batch);
}
