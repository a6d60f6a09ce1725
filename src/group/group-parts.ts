import type { RaftCore } from '../raft/index.js';
import type { GroupOptions } from './group-options.js';
import type { HotLog } from './hot-log.js';
import type { Inbox } from './inbox.js';
import type { GroupLog } from './ports.js';

/** What the parts of one group work on together. */
export interface GroupParts
  extends Pick<GroupOptions, 'group' | 'self' | 'clock' | 'storage' | 'transport' | 'observer'> {
  readonly core: RaftCore;
  readonly log: HotLog;
  readonly stored: GroupLog;
  readonly inbox: Inbox;
}
