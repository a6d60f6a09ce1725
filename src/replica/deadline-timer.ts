import type { Clock, Timer } from './ports.js';

/**
 * Calls back when a deadline is reached that is put off again and again: by each
 * message of a leader, for one. So it keeps the timer that runs, and looks at
 * the deadline only when that fires.
 */
export class DeadlineTimer {
  private readonly clock: Clock;
  /** Beyond this a timer that fires was held up, and with it the process. */
  private readonly lateMs: number;
  private readonly onDue: () => void;
  private dueMs = Number.POSITIVE_INFINITY;
  private running: { readonly timer: Timer; readonly firesMs: number } | undefined;

  constructor(clock: Clock, lateMs: number, onDue: () => void) {
    this.clock = clock;
    this.lateMs = lateMs;
    this.onDue = onDue;
  }

  /** Infinity: never. */
  set(dueMs: number): void {
    this.dueMs = dueMs;
    if (this.running !== undefined && this.running.firesMs <= dueMs) return;
    this.cancel();
    if (dueMs === Number.POSITIVE_INFINITY) return;
    const timer = this.clock.after(Math.max(0, dueMs - this.clock.nowMs()), () => this.onTimer());
    this.running = { timer, firesMs: dueMs };
  }

  cancel(): void {
    this.running?.timer.cancel();
    this.running = undefined;
  }

  /**
   * A timer that fires late says that this process was held up, and then the
   * heartbeats that prove the leader's health may be waiting unread: they are
   * taken in before the time counts.
   */
  private onTimer(): void {
    this.running = undefined;
    const lateMs = this.clock.nowMs() - this.dueMs;
    if (lateMs < 0) this.set(this.dueMs);
    else if (lateMs < this.lateMs) this.onDue();
    else this.clock.soon(() => this.clock.soon(this.onDue));
  }
}
