import { LIMITS } from '../base/index.js';
import type { RaftCore } from '../raft/index.js';
import type { Clock, Timer } from './ports.js';

/**
 * Followers learn of commits with the next append, which under load is at once.
 * When none follows they are told a little later: as much as a message to each
 * for every entry would cost, and nobody's receipt waits for it.
 */
export class CommitNotices {
  private readonly core: RaftCore;
  private readonly clock: Clock;
  private readonly due: () => void;
  private timer: Timer | undefined;

  constructor(core: RaftCore, clock: Clock, due: () => void) {
    this.core = core;
    this.clock = clock;
    this.due = due;
  }

  plan(): void {
    if (this.timer !== undefined || !this.core.owesCommitNotices) return;
    this.timer = this.clock.after(LIMITS.commitNoticeMs, () => {
      this.timer = undefined;
      this.due();
    });
  }

  stop(): void {
    this.timer?.cancel();
  }
}
