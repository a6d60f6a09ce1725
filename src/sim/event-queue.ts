import { MinHeap } from '../base/index.js';

interface PlannedEvent {
  readonly atMs: number;
  readonly sequence: number;
  readonly run: () => void;
}

/** Simulated time: what is to happen, in the order of its time, and of its planning where times are equal. */
export class EventQueue {
  nowMs = 0;
  private readonly events = new MinHeap<PlannedEvent>(
    (left, right) => left.atMs - right.atMs || left.sequence - right.sequence,
  );
  private sequence = 0;

  at(atMs: number, run: () => void): void {
    this.events.push({ atMs: Math.max(atMs, this.nowMs), sequence: this.sequence++, run });
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  /** Time of the next event; Infinity where there is none. */
  get nextMs(): number {
    return this.events.least?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** Everything that is due by then. */
  runUntil(timeMs: number): void {
    while (this.nextMs <= timeMs) this.runNext();
  }

  runNext(): void {
    const first = this.events.pop();
    if (first === undefined) return;
    this.nowMs = first.atMs;
    first.run();
  }
}
