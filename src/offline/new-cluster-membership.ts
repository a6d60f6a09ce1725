import { FlotillaError, term } from '../base/index.js';
import type { Clock, RecoveredGroup } from '../group/index.js';
import { isVoter } from '../raft/index.js';
import { groupsPathOf, type NodeIdentity } from '../storage/directory/index.js';
import type { Disk } from '../storage/disk/index.js';
import { type LevelStorage, openStorage } from '../storage/index.js';
import { MACHINES } from '../stream/index.js';
import { encodeMembership, type Member, type Membership, sealRecord } from '../wire/index.js';

/** A stopped node's folder. */
export interface StoppedFolder {
  readonly path: string;
  readonly identity: NodeIdentity;
  readonly clock: Clock;
  readonly disk: Disk;
}

/** Opens and verifies all groups as a start does. */
export async function openFolder({ path, identity, clock, disk }: StoppedFolder): Promise<LevelStorage> {
  const directory = { path, groupsPath: groupsPathOf(path), identity };
  return await openStorage({ directory, clock, machines: MACHINES, disk, indexing: false });
}

/**
 * Appends to each log of a stopped node a membership of this node alone, in a
 * term of its own, unless it is there. What stands before it counts as committed
 * from then on, because nobody is left to say otherwise. `selfIn`: this node, as
 * the latest membership knows it, or as it is to be.
 */
export async function beginNewCluster(folder: StoppedFolder, selfIn: (latest: Membership) => Member): Promise<void> {
  const { identity } = folder;
  const storage = await openFolder(folder);
  try {
    for (const group of storage.groups()) {
      const log = storage.group(group);
      const { hardState, tail, memberships } = log.recovered;
      const latest = latestOf(memberships);
      if (isOnlyMember(latest, identity)) {
        log.noteCommitted(tail.index);
        continue;
      }
      const body = encodeMembership(membershipOfOne(latest, selfIn(latest)));
      const next = { term: term(hardState.term + 1), vote: identity.actor };
      const unsealed = {
        kind: 'configuration',
        term: next.term,
        eventCount: 0,
        payloadBytes: body.byteLength,
      } as const;
      const record = sealRecord(tail, unsealed, (payload) => payload.set(body));
      await storage.persist([{ group, hardState: next, records: [record] }]);
      log.noteCommitted(record.index);
    }
  } finally {
    await storage.close();
  }
}

export function latestOf(memberships: RecoveredGroup['memberships']): Membership {
  const latest = memberships.at(-1);
  if (latest === undefined) throw new FlotillaError('DATA_LOSS', 'the log names no members');
  return latest.membership;
}

export function seatOf({ members }: Membership, { instance }: NodeIdentity): Member | undefined {
  return members.find((member) => member.instance === instance);
}

function isOnlyMember(membership: Membership, identity: NodeIdentity): boolean {
  return (
    membership.members.length === 1 && seatOf(membership, identity) !== undefined && isVoter(membership, identity.actor)
  );
}

function membershipOfOne(latest: Membership, self: Member): Membership {
  return { ...latest, voters: [self.actor], outgoing: [], learners: [], members: [self], vouchers: [] };
}
