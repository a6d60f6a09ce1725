import type { Random } from '../base/index.js';
import type { Cluster } from './cluster.js';
import type { Host } from './host.js';

const DELAY_MS_LEAST = 50;
const DELAY_MS_MAX = 1000;
/** One of so many syncs takes long. */
const EVERY_LEAST = 3;
const EVERY_MOST = 13;

/**
 * Disks that take long for a sync now and then, however quick the others are:
 * what is committed is then known to a node before it is on its own disk, and
 * what a node does in several syncs stands half done for as long.
 *
 * In some runs no disk is like that, in some one host's is all the time, and
 * in the others each one's may be for a while. The numbers come from a source of
 * their own, so that a run without them is what it would be if there were none.
 */
export class SlowDisks {
  private readonly cluster: Cluster;
  private readonly random: Random;

  constructor(cluster: Cluster, random: Random) {
    this.cluster = cluster;
    this.random = random;
  }

  begin(): void {
    const style = this.random();
    if (style < 0.25) return;
    if (style < 0.6) this.slow(this.any());
    else this.strikeAfter(this.between(50, 400));
  }

  private strikeAfter(delayMs: number): void {
    const { cluster } = this;
    cluster.after(delayMs, () => {
      if (cluster.calm) return;
      const { disk } = this.slow(this.any());
      const { syncDelayMs } = disk.troubles;
      const forMs = this.between(100, 1500);
      cluster.after(forMs, () => {
        if (disk.troubles.syncDelayMs === syncDelayMs) disk.troubles.syncDelayMs = undefined;
      });
      this.strikeAfter(this.between(20, 2 * forMs));
    });
  }

  /** Every so many of its syncs take long from now on. */
  private slow(host: Host): Host {
    const { figures } = this.cluster;
    const every = this.between(EVERY_LEAST, EVERY_MOST);
    let syncs = 0;
    host.disk.troubles.syncDelayMs = () => {
      if (++syncs % every !== 0) return 0;
      figures.slowSyncs++;
      return this.between(DELAY_MS_LEAST, DELAY_MS_MAX);
    };
    return host;
  }

  private any(): Host {
    const hosts = [...this.cluster.hosts.values()];
    return hosts[this.between(0, hosts.length - 1)] ?? this.cluster.any();
  }

  private between(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }
}
