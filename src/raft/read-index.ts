import { type ActorId, type LogIndex, logIndex } from '../base/index.js';
import type { ReadResult } from './types.js';

interface WaitingRead {
  readonly from: ActorId;
  readonly requestId: number;
  /** The commit index when the read arrived; undefined until the leader's no-op is committed. */
  index: LogIndex | undefined;
  /** A quorum's answer to this heartbeat round or a later one confirms the read. */
  readonly round: number;
}

export interface ConfirmedRead extends ReadResult {
  readonly from: ActorId;
}

/**
 * Reads that wait for proof that this server still led when they arrived
 * (dissertation, section 6.4). All that wait share the next heartbeat round.
 */
export class ReadIndexQueue {
  private waiting: WaitingRead[] = [];

  get length(): number {
    return this.waiting.length;
  }

  /** `index` is undefined while the leader has committed nothing in its own term. */
  add(from: ActorId, requestId: number, index: LogIndex | undefined, round: number): void {
    this.waiting.push({ from, requestId, index, round });
  }

  /** The no-op is committed: reads that came before it are safe at its index. */
  noopCommitted(commitIndex: LogIndex): void {
    for (const read of this.waiting) read.index ??= commitIndex;
  }

  /** Takes out what a quorum's answers to `round` confirm. */
  confirm(round: number): ConfirmedRead[] {
    const confirmed: ConfirmedRead[] = [];
    this.waiting = this.waiting.filter((read) => {
      if (read.index === undefined || read.round > round) return true;
      confirmed.push({ from: read.from, requestId: read.requestId, index: read.index });
      return false;
    });
    return confirmed;
  }

  /** Whether some read waits for a round that has not been started. */
  needsRoundAfter(round: number): boolean {
    return this.waiting.some((read) => read.round > round);
  }

  /** Leadership is lost: the reads of `self` are settled as not confirmed; others ask again by themselves. */
  abandon(self: ActorId): ReadResult[] {
    const own = this.waiting.filter((read) => read.from === self);
    this.waiting = [];
    return own.map(({ requestId }) => ({ requestId, index: logIndex(0) }));
  }
}
