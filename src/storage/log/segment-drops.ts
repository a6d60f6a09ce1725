import { type Disk, removeDirectories } from '../disk/index.js';

import type { Segment } from '../segment/index.js';

/**
 * Segments that a log has given up, on their way off the disk. The marker says already that the log begins behind them,
 * so nothing waits for it: neither a write nor a read, however many they are. A crash leaves what the next start
 * removes.
 */
export class SegmentDrops {
  private readonly disk: Disk;
  private readonly onFailure: (error: unknown) => void;
  private last: Promise<void> = Promise.resolve();

  constructor(disk: Disk, onFailure: (error: unknown) => void) {
    this.disk = disk;
    this.onFailure = onFailure;
  }

  /**
   * Retires them at once, so that nothing is begun in them any more: no repair, no index. Readers in them are waited
   * for.
   */
  begin(doomed: readonly Segment[]): void {
    const retired = doomed.map((segment) => segment.retire());
    const paths = doomed.map(({ directory }) => directory);
    this.last = Promise.all([this.last, ...retired])
      .then(() => removeDirectories(this.disk, paths))
      .catch(this.onFailure);
  }

  /** Resolves when everything that was given up before is gone. */
  async finish(): Promise<void> {
    await this.last;
  }
}
