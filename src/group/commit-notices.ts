import { LIMITS } from '../base/index.js';
import type { GroupParts } from './group-parts.js';
import type { Timer } from './ports.js';

/**
 * Followers learn of commits with the next append, which under load is at once. When none follows they are told a
 * little later: as much as a message to each for every entry would cost, and no receipt waits for it.
 */
export class CommitNotices {
  private readonly parts: Pick<GroupParts, 'core' | 'clock' | 'inbox'>;
  private timer: Timer | undefined;

  constructor(parts: Pick<GroupParts, 'core' | 'clock' | 'inbox'>) {
    this.parts = parts;
  }

  plan(): void {
    const { core, clock, inbox } = this.parts;
    if (this.timer !== undefined || !core.owesCommitNotices) return;
    this.timer = clock.after(LIMITS.commitNoticeMs, () => {
      this.timer = undefined;
      inbox.post(() => core.sendCommitNotices());
    });
  }

  stop(): void {
    this.timer?.cancel();
  }
}
