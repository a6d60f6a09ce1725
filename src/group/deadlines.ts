import type { Clock, Timer } from './ports.js';

/** One of those that share a timer: called back when its time has come. */
export interface Deadline {
  /** Replaces the time that was set before. Infinity: never. */
  set(dueMs: number): void;
  /** It never fires again. */
  cancel(): void;
}

interface Entry {
  dueMs: number;
  readonly onDue: () => void;
}

/**
 * The deadlines of all groups of a node, on one timer. Most are put off again and again, each by a message of its
 * leader, so the timer that runs is kept, and the deadlines are looked through only when it fires; those of quiesced
 * groups are infinite.
 */
export class Deadlines {
  private readonly clock: Clock;
  /** A timer that fires later than this was held up, and with it the process. */
  private readonly lateMs: number;
  private readonly entries = new Set<Entry>();
  private running: { readonly timer: Timer; readonly firesMs: number } | undefined;
  private runsDue = false;

  constructor(clock: Clock, lateMs: number) {
    this.clock = clock;
    this.lateMs = lateMs;
  }

  add(onDue: () => void): Deadline {
    const entry: Entry = { dueMs: Number.POSITIVE_INFINITY, onDue };
    this.entries.add(entry);
    return {
      set: (dueMs) => {
        entry.dueMs = dueMs;
        if (this.entries.has(entry) && !this.runsDue) this.fireBy(dueMs);
      },
      cancel: () => {
        this.entries.delete(entry);
        if (this.earliestMs === Number.POSITIVE_INFINITY) this.stopTimer();
      },
    };
  }

  private get earliestMs(): number {
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.entries) if (dueMs < earliestMs) earliestMs = dueMs;
    return earliestMs;
  }

  private fireBy(dueMs: number): void {
    if (dueMs === Number.POSITIVE_INFINITY || (this.running !== undefined && this.running.firesMs <= dueMs)) return;
    this.stopTimer();
    const timer = this.clock.after(Math.max(0, dueMs - this.clock.nowMs()), () => this.onTimer());
    this.running = { timer, firesMs: dueMs };
  }

  private stopTimer(): void {
    this.running?.timer.cancel();
    this.running = undefined;
  }

  /**
   * A timer that fires late says that this process was held up, and then the
   * heartbeats that prove a leader's health may be waiting unread: they are
   * taken in before the time counts.
   */
  private onTimer(): void {
    this.running = undefined;
    const lateMs = this.clock.nowMs() - this.earliestMs;
    if (lateMs < this.lateMs) this.runDue();
    else this.clock.soon(() => this.clock.soon(() => this.runDue()));
  }

  /** All that are due in one turn, so that what they send travels together. */
  private runDue(): void {
    const nowMs = this.clock.nowMs();
    this.runsDue = true;
    for (const entry of this.entries) {
      if (entry.dueMs > nowMs) continue;
      entry.dueMs = Number.POSITIVE_INFINITY;
      entry.onDue();
    }
    this.runsDue = false;
    this.fireBy(this.earliestMs);
  }
}
