import { FlotillaError } from '../base/index.js';
import type { RaftCore } from '../raft/index.js';

/** `what` was certainly not proposed. */
export function notLeader(what: string): FlotillaError {
  return new FlotillaError(
    'NOT_LEADER',
    `this node does not lead, or is handing leadership over; ${what} was not proposed: try again`,
  );
}

/** Why nothing new is taken; undefined where there is room, on this disk and those of a majority. */
export function refusalForRoom(core: RaftCore, what: string): FlotillaError | undefined {
  const refusal = core.refusalOfEvents();
  if (refusal === undefined) return undefined;
  if (refusal === 'yielding') return notLeader(what);
  const whose =
    refusal === 'own disk'
      ? "the leader's disk is nearly full, and no other node can take over"
      : 'the disks of a majority are nearly full';
  return new FlotillaError(
    'DISK_NEARLY_FULL',
    `${whose}: ${what} was not proposed; make room, and it goes on by itself`,
  );
}
