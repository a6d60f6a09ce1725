import { FlotillaError } from '../base/index.js';
import type { RaftCore } from '../raft/index.js';

export function notLeader(): FlotillaError {
  return new FlotillaError(
    'NOT_LEADER',
    'this node does not lead, or is handing leadership over; nothing was proposed: try again, or ask the leader',
  );
}

export function stopping(): FlotillaError {
  return new FlotillaError('SHUTTING_DOWN', 'the node is stopping; nothing was proposed');
}

/** Why nothing new is taken for want of disk space; undefined where this disk and those of a majority have enough. */
export function refusalUnderPressure(core: RaftCore): FlotillaError | undefined {
  const refusal = core.refusalOfEvents();
  if (refusal === undefined) return undefined;
  if (refusal === 'yielding') return notLeader();
  const disks =
    refusal === 'own disk'
      ? "the leader's disk is nearly full, and no other node can take over"
      : 'the disks of a majority are nearly full';
  return new FlotillaError(
    'DISK_NEARLY_FULL',
    `${disks}: nothing was proposed; free some space, and it goes on by itself`,
  );
}
