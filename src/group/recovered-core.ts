import { RaftCore } from '../raft/index.js';
import type { SharedOptions } from './group-options.js';
import type { RecoveredGroup } from './ports.js';

/** Consensus, as far as the log that was found has come. */
export function coreOf(
  { self, settings, diskPressure, random, clock }: SharedOptions,
  recovered: RecoveredGroup,
): RaftCore {
  const { hardState, begin, termStarts, tail, memberships, commitIndex } = recovered;
  const configurations = memberships.map(({ index, membership }) => ({ index, configuration: membership }));
  const nowMs = clock.nowMs();
  return new RaftCore({
    self,
    settings,
    random,
    nowMs,
    ...(diskPressure === undefined ? {} : { diskPressure }),
    hardState,
    begin,
    termStarts,
    lastIndex: tail.index,
    configurations,
    commitIndex,
  });
}
