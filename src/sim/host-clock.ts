import type { Clock, Timer } from '../group/index.js';
import type { Schedule } from './disk.js';
import type { EventQueue } from './event-queue.js';

const EPOCH_MS = 1_700_000_000_000;

/**
 * A host's clocks: a monotonic one, which goes faster or slower than the others', and a time of day, which may be
 * off.
 */
export class HostClock implements Clock {
  private readonly queue: EventQueue;
  private readonly rate: number;
  private readonly schedule: Schedule;
  private readonly offsetMs: () => number;
  /** A timer never fires before its time: rounding must not make it do so. */
  private leastMs = 0;

  constructor(queue: EventQueue, rate: number, schedule: Schedule, offsetMs: () => number) {
    this.queue = queue;
    this.rate = rate;
    this.schedule = schedule;
    this.offsetMs = offsetMs;
  }

  nowMs(): number {
    return Math.max(this.leastMs, this.queue.nowMs * this.rate);
  }

  utcMs(): number {
    return EPOCH_MS + Math.floor(this.queue.nowMs + this.offsetMs());
  }

  after(delayMs: number, run: () => void): Timer {
    let cancelled = false;
    const dueMs = this.nowMs() + delayMs;
    this.schedule(delayMs / this.rate, () => {
      if (cancelled) return;
      this.leastMs = Math.max(this.leastMs, dueMs);
      run();
    });
    return {
      cancel: () => {
        cancelled = true;
      },
    };
  }

  soon(run: () => void): void {
    this.schedule(0, run);
  }
}
