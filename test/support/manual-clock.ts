import type { Clock, Timer } from '../../src/group/index.js';

interface Planned {
  readonly atMs: number;
  readonly run: () => void;
}

/** Time that passes when the test says so. */
export class ManualClock implements Clock {
  /** What an operator does to the time of day. */
  utcOffsetMs = 0;
  private now = 0;
  private planned: Planned[] = [];
  private soonQueue: (() => void)[] = [];

  nowMs(): number {
    return this.now;
  }

  utcMs(): number {
    return 1_700_000_000_000 + this.now + this.utcOffsetMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.now + delayMs, run };
    this.planned.push(timer);
    return {
      cancel: () => {
        this.planned = this.planned.filter((other) => other !== timer);
      },
    };
  }

  soon(run: () => void): void {
    this.soonQueue.push(run);
  }

  get timers(): number {
    return this.planned.length;
  }

  /** Runs what was to run soon, once. True where there was anything. */
  runSoon(): boolean {
    const due = this.soonQueue;
    this.soonQueue = [];
    for (const run of due) run();
    return due.length > 0;
  }

  /** Lets time pass without running a timer, as in a process that stands still. */
  stall(passedMs: number): void {
    this.now += passedMs;
  }

  /** Runs the timers that are due, earliest first. */
  runTimers(): void {
    for (let next = this.nextDue(); next !== undefined; next = this.nextDue()) {
      const due = next;
      this.planned = this.planned.filter((timer) => timer !== due);
      due.run();
    }
  }

  private nextDue(): Planned | undefined {
    return this.planned.filter(({ atMs }) => atMs <= this.now).sort((a, b) => a.atMs - b.atMs)[0];
  }
}
