import { LIMITS } from '../../base/index.js';
import type { Clock, Timer } from '../../group/index.js';

/** Something that can be closed while it is not in use, and opens again by itself. */
export interface Closeable {
  readonly inUse: boolean;
  close(): Promise<void>;
}

/**
 * Bounds how many sealed segments a node holds open, over all groups: the least recently used is closed first, and one
 * without a reader for a while is closed anyway, because an open LevelDB holds files and memory.
 */
export class OpenDatabaseCache {
  /** The least recently used first, with the time of its last use on a monotonic clock. */
  private readonly lastUseMs = new Map<Closeable, number>();
  private readonly clock: Clock;
  private readonly onFailure: (error: unknown) => void;
  private readonly limit: number;
  private readonly idleMs: number;
  private timer: Timer | undefined;

  constructor(
    clock: Clock,
    onFailure: (error: unknown) => void,
    limit: number = LIMITS.openSealedSegments,
    idleMs: number = LIMITS.sealedSegmentIdleMs,
  ) {
    this.clock = clock;
    this.onFailure = onFailure;
    this.limit = limit;
    this.idleMs = idleMs;
  }

  get size(): number {
    return this.lastUseMs.size;
  }

  used(database: Closeable): void {
    this.lastUseMs.delete(database);
    this.lastUseMs.set(database, this.clock.nowMs());
    this.closeSome((_, excess) => excess > 0);
    this.watch();
  }

  forget(database: Closeable): void {
    this.lastUseMs.delete(database);
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.lastUseMs.clear();
  }

  private closeSome(due: (idleMs: number, excess: number) => boolean): void {
    const now = this.clock.nowMs();
    for (const [database, usedMs] of this.lastUseMs) {
      if (!due(now - usedMs, this.lastUseMs.size - this.limit)) return;
      if (database.inUse) continue;
      this.lastUseMs.delete(database);
      database.close().catch(this.onFailure);
    }
  }

  private watch(): void {
    if (this.timer !== undefined || this.lastUseMs.size === 0) return;
    this.timer = this.clock.after(this.idleMs, () => {
      this.timer = undefined;
      this.closeSome((idleMs) => idleMs >= this.idleMs);
      this.watch();
    });
  }
}
