import { BoundedQueue, FlotillaError, LIMITS } from '../../base/index.js';
import type { NewEvent } from '../../event/index.js';
import type { Receipt } from './receipt.js';

/** Stands in until the promise has handed out its own functions: one for all, for there are many calls. */
const NOT_YET = (): void => undefined;

/** One `produce` or `append` that has not been answered: its events are appended together or not at all. */
export class PendingCall {
  readonly events: readonly NewEvent[];
  /** About what the events take up in an encoded batch. */
  readonly bytes: number;
  readonly deadlineMs: number;
  readonly promise: Promise<Receipt>;
  private resolvePromise: (receipt: Receipt) => void = NOT_YET;
  private rejectPromise: (error: FlotillaError) => void = NOT_YET;
  private answered = false;

  constructor(events: readonly NewEvent[], bytes: number, deadlineMs: number) {
    this.events = events;
    this.bytes = bytes;
    this.deadlineMs = deadlineMs;
    this.promise = new Promise((resolve, reject) => {
      this.resolvePromise = resolve;
      this.rejectPromise = reject;
    });
  }

  get settled(): boolean {
    return this.answered;
  }

  /** False where the caller has had an answer before. */
  resolve(receipt: Receipt): boolean {
    if (this.answered) return false;
    this.answered = true;
    this.resolvePromise(receipt);
    return true;
  }

  reject(error: FlotillaError): boolean {
    if (this.answered) return false;
    this.answered = true;
    this.rejectPromise(error);
    return true;
  }
}

/**
 * All calls without an answer, in the order in which they were made, which is
 * also that of their deadlines. Calls that are not yet in a batch wait in
 * `waiting`. Both are bounded: first by a "not writable" that polite callers
 * heed, then by refusal.
 */
export class PendingCalls {
  private readonly waiting = new BoundedQueue<PendingCall>(LIMITS.clientPendingCalls);
  private pendingBytes = 0;
  private pendingCalls = 0;
  private untilWritable: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  get waitingLength(): number {
    return this.waiting.length;
  }

  get size(): number {
    return this.pendingCalls;
  }

  get writable(): boolean {
    return this.pendingBytes < LIMITS.clientBufferBytes && this.pendingCalls < LIMITS.clientBufferCalls;
  }

  add(call: PendingCall): void {
    if (this.pendingCalls >= LIMITS.clientPendingCalls || this.pendingBytes + call.bytes > LIMITS.clientPendingBytes) {
      throw new FlotillaError(
        'TOO_MANY_REQUESTS',
        `${this.pendingCalls} calls with ${this.pendingBytes} bytes wait for their receipts; await produce(), or ` +
          'drained() between calls',
      );
    }
    this.pendingCalls++;
    this.pendingBytes += call.bytes;
    this.waiting.push(call);
  }

  peek(): PendingCall | undefined {
    return this.waiting.peek();
  }

  shift(): PendingCall | undefined {
    return this.waiting.shift();
  }

  /** Gives back the capacity that a call with an answer has taken. */
  release(call: PendingCall): void {
    this.pendingCalls--;
    this.pendingBytes -= call.bytes;
    if (this.untilWritable === undefined || !this.writable) return;
    this.untilWritable.resolve();
    this.untilWritable = undefined;
  }

  /** Undefined where there is capacity now. All waiting callers share one promise. */
  drained(): Promise<void> | undefined {
    if (this.writable) return undefined;
    if (this.untilWritable === undefined) {
      let resolve: () => void = () => undefined;
      const promise = new Promise<void>((settle) => {
        resolve = settle;
      });
      this.untilWritable = { promise, resolve };
    }
    return this.untilWritable.promise;
  }
}
