import { LIMITS, type LogIndex, logIndex } from '../base/index.js';

interface Position {
  /** Monotonic. */
  readonly atMs: number;
  /** The last record that had taken effect on this node. */
  readonly index: LogIndex;
}

/**
 * How far this node knew the log to reach at times gone by. A batch that was handed to a leader later than that stands
 * behind it. It remembers a bounded number of times, which lie the further apart the older they are.
 */
export class LogPositions {
  private kept: Position[] = [];
  private latest: Position;

  constructor(nowMs: number, index: LogIndex) {
    this.latest = { atMs: nowMs, index };
  }

  /** Records up to `index` have taken effect. */
  note(nowMs: number, index: LogIndex): void {
    const keptMs = this.kept.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY;
    if (this.latest.atMs - keptMs >= LIMITS.logPositionMs) {
      this.kept.push(this.latest);
      if (this.kept.length > LIMITS.logPositions) this.thinOut(nowMs);
    }
    this.latest = { atMs: nowMs, index };
  }

  /** What certainly stood in the log at a time; 0 where this node does not know. */
  at(ms: number): LogIndex {
    const known = this.latest.atMs <= ms ? this.latest : this.kept.findLast(({ atMs }) => atMs <= ms);
    return known?.index ?? logIndex(0);
  }

  /** Takes out the one with the neighbours closest to each other, measured by how long ago they were. */
  private thinOut(nowMs: number): void {
    let closest = 1;
    let least = Number.POSITIVE_INFINITY;
    for (let at = 1; at < this.kept.length - 1; at++) {
      const [before, after] = [this.kept[at - 1]?.atMs ?? 0, this.kept[at + 1]?.atMs ?? 0];
      const gap = (after - before) / (nowMs - before);
      if (gap < least) [closest, least] = [at, gap];
    }
    this.kept.splice(closest, 1);
  }
}
