import { FlotillaError } from '../../base/index.js';
import type { Clock } from '../../group/index.js';

/** The event loop is held this long at a time … */
const SLICE_MS = 6;
/** … and left alone this many times as long, while there is something else to do. */
const BUSY_REST_RATIO = 4;

/** Cuts long work into slices, so that what producers and consumers wait for goes on between them. */
export class Pace {
  private readonly clock: Clock;
  private readonly isBusy: () => boolean;
  private readonly mayGoOn: () => boolean;
  private sinceMs: number;
  private cancelled = false;

  constructor(clock: Clock, isBusy: () => boolean, mayGoOn: () => boolean = () => true) {
    this.clock = clock;
    this.isBusy = isBusy;
    this.mayGoOn = mayGoOn;
    this.sinceMs = clock.nowMs();
  }

  /** Whether the slice is used up: await {@link rest}. */
  get isDue(): boolean {
    return this.cancelled || this.clock.nowMs() - this.sinceMs >= SLICE_MS;
  }

  /** Rejects with CANCELLED where the work is to end here. */
  async rest(): Promise<void> {
    this.requireWanted();
    const workedMs = this.clock.nowMs() - this.sinceMs;
    await new Promise<void>((resolve) => {
      if (this.isBusy()) this.clock.after(workedMs * BUSY_REST_RATIO, resolve);
      else this.clock.soon(resolve);
    });
    this.restart();
    this.requireWanted();
  }

  /** The next rest rejects with CANCELLED. */
  cancel(): void {
    this.cancelled = true;
  }

  /** Begins a slice: what was waited for until now was other work. */
  restart(): void {
    this.sinceMs = this.clock.nowMs();
  }

  private requireWanted(): void {
    if (this.cancelled || !this.mayGoOn()) throw new FlotillaError('CANCELLED', 'the work is not wanted any more');
  }
}
