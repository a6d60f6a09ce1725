import { FlotillaError, LIMITS } from '../../base/index.js';
import type { Clock, Timer } from '../../group/index.js';
import { isDiskFull } from '../disk/index.js';
import { Pace } from './pace.js';

/** While something was written or read within this time, an index is made slowly. */
const BUSY_MS = 200;

/** A sealed segment that may lack its index. */
export interface Indexable {
  /**
   * Makes the index where there is none that fits. Rejects with a FlotillaError where that can't be, with another error
   * where the disk fails.
   */
  ensureIndex(pace: Pace): Promise<void>;
}

/**
 * Makes the indexes of a node's sealed segments in the background, one at a time, the one that was asked for last
 * first: its records are still in memory. An index may be as large as its segment, and no read depends on it: while the
 * disk is short of space none is made.
 */
export class NamespaceIndexer {
  private readonly clock: Clock;
  private readonly onFailure: (error: unknown) => void;
  private readonly isDiskOk: () => boolean;
  private readonly waiting = new Set<Indexable>();
  private working: Promise<void> | undefined;
  private pace: Pace | undefined;
  private lastUseMs = Number.NEGATIVE_INFINITY;
  private stopped = false;
  private roomTimer: Timer | undefined;
  private wake: () => void = () => undefined;

  constructor(clock: Clock, onFailure: (error: unknown) => void, isDiskOk: () => boolean = () => true) {
    this.clock = clock;
    this.onFailure = onFailure;
    this.isDiskOk = isDiskOk;
  }

  /** A write or a read that a caller waits for was under way. */
  noteUse(): void {
    this.lastUseMs = this.clock.nowMs();
  }

  want(segment: Indexable): void {
    if (this.stopped) return;
    this.waiting.delete(segment);
    this.waiting.add(segment);
    this.working ??= this.work();
  }

  /** The segment is about to go. */
  forget(segment: Indexable): void {
    this.waiting.delete(segment);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.waiting.clear();
    this.pace?.cancel();
    this.roomTimer?.cancel();
    this.wake();
    await this.working;
  }

  private async work(): Promise<void> {
    await new Promise<void>((resolve) => this.clock.soon(resolve));
    for (let segment = this.takeNewest(); segment !== undefined; segment = this.takeNewest()) {
      if (this.isDiskOk() && (await this.make(segment))) continue;
      if (this.stopped) break;
      this.waiting.add(segment);
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        this.roomTimer = this.clock.after(LIMITS.spaceCheckMs, resolve);
      });
    }
    this.working = undefined;
  }

  /** False where it is to be tried again when there is space. */
  private async make(segment: Indexable): Promise<boolean> {
    this.pace = new Pace(this.clock, () => this.clock.nowMs() - this.lastUseMs < BUSY_MS, this.isDiskOk);
    try {
      await segment.ensureIndex(this.pace);
    } catch (error) {
      if (isDiskFull(error) || !this.isDiskOk()) return false;
      // What can't be indexed is read record by record, and the read that meets the damage reports it.
      if (!(error instanceof FlotillaError)) this.onFailure(error);
    }
    return true;
  }

  private takeNewest(): Indexable | undefined {
    const newest = [...this.waiting].at(-1);
    if (newest !== undefined) this.waiting.delete(newest);
    return newest;
  }
}
