import type { Disk } from './disk.js';
import { removeDirectories } from './durable-files.js';
import type { Segment } from './segment.js';

/**
 * Segments that a log has given up, on their way off the disk. The marker says
 * already that the log begins behind them, so nobody waits: neither a write nor
 * a read, however many they are. A crash leaves what the next start removes.
 */
export class SegmentDrops {
  private readonly disk: Disk;
  private readonly onFailure: (error: unknown) => void;
  private last: Promise<void> = Promise.resolve();

  constructor(disk: Disk, onFailure: (error: unknown) => void) {
    this.disk = disk;
    this.onFailure = onFailure;
  }

  begin(doomed: readonly Segment[]): void {
    this.last = this.last.then(() => this.drop(doomed)).catch(this.onFailure);
  }

  /** Resolves when everything that was given up before is gone. */
  async finish(): Promise<void> {
    await this.last;
  }

  /** After those who still read in them have finished. */
  private async drop(doomed: readonly Segment[]): Promise<void> {
    for (const segment of doomed) await segment.retire();
    await removeDirectories(
      this.disk,
      doomed.map(({ directory }) => directory),
    );
  }
}
