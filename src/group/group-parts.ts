import type { RaftCore } from '../raft/index.js';
import type { OwnOptions, SharedOptions } from './group-options.js';
import { HotLog } from './hot-log.js';
import { Inbox } from './inbox.js';
import type { GroupLog } from './ports.js';
import { coreOf } from './recovered-core.js';

/** What the parts of one group work on together. */
export interface GroupParts
  extends Pick<SharedOptions, 'self' | 'clock' | 'storage' | 'transport'>,
    Pick<OwnOptions, 'group' | 'observer'> {
  readonly core: RaftCore;
  readonly log: HotLog;
  readonly stored: GroupLog;
  readonly inbox: Inbox;
}

/** Makes them of what the storage has found. */
export function partsOf<Options extends SharedOptions & OwnOptions>(options: Options): Options & GroupParts {
  const stored = options.storage.group(options.group);
  const log = new HotLog(stored, options.cache, options.observer);
  return { ...options, stored, log, core: coreOf(options, stored.recovered), inbox: new Inbox() };
}
