/** What the system says of a thread. */
export interface ThreadActivity {
  /** One letter, as in /proc: R runs or waits for a processor, S waits, D waits for a disk, T and t are stopped. */
  readonly state: string;
  /** Processor time that it has taken since it began. */
  readonly cpuMs: number;
}

/**
 * How long a thread has stood still, told from how often it has greeted so far.
 *
 * The time is counted in ticks of whoever watches, and is not read off a clock:
 * a process that was stopped and a machine that slept make one late tick, not a
 * long one. Nor does a tick count where the thread only had to wait for the
 * machine, for a processor or for a disk: there, what counts is the processor
 * time that it got. So on a machine that is short of everything, a thread
 * stands still only once it has really run for so long without a greeting.
 */
export class Standstill {
  private readonly tickMs: number;
  private greetings: number | undefined;
  private cpuMs: number | undefined;
  private stoodMs = 0;

  constructor(tickMs: number) {
    this.tickMs = tickMs;
  }

  /**
   * To be called once a tick. `activity` is asked for only where no greeting came, and undefined where the system does
   * not tell.
   */
  tick(greetings: number, activity: () => ThreadActivity | undefined): number {
    if (greetings !== this.greetings) {
      this.greetings = greetings;
      this.cpuMs = undefined;
      this.stoodMs = 0;
      return 0;
    }
    const now = activity();
    this.stoodMs +=
      now === undefined || now.state === 'S'
        ? this.tickMs
        : Math.min(this.tickMs, now.cpuMs - (this.cpuMs ?? now.cpuMs));
    this.cpuMs = now?.cpuMs;
    return this.stoodMs;
  }
}
