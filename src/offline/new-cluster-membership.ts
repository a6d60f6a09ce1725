import { FlotillaError, type GroupId, type Seat, sameSeat, type Term, term } from '../base/index.js';
import { CLUSTER_GROUP, MACHINES } from '../cluster/index.js';
import type { Clock, RecoveredGroup } from '../group/index.js';
import { ClusterMachine, type ClusterState, encodeContent, type Founding } from '../machine/cluster/index.js';
import type { RecordKind } from '../machine/index.js';
import { isVoter } from '../raft/index.js';
import { groupsPathOf, type NodeIdentity } from '../storage/directory/index.js';
import type { Disk } from '../storage/disk/index.js';
import { type LevelStorage, openStorage } from '../storage/index.js';
import {
  encodeMembership,
  type LogRecord,
  type LogTail,
  type Membership,
  sealRecord,
  tailAfter,
} from '../wire/index.js';

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

/** The cluster that a node begins alone; its members and streams, until its own log says otherwise. */
export interface NewCluster {
  readonly clusterId: string;
  /** The incarnation that each group has from now on. */
  readonly incarnations: ReadonlyMap<GroupId, string>;
}

/**
 * Appends to each log of a stopped node a membership of this node alone, in a
 * term of its own, unless it is there. What stands before it counts as committed
 * from then on, because nobody is left to say otherwise.
 */
export async function beginNewCluster(folder: StoppedFolder, cluster: NewCluster): Promise<void> {
  const { identity } = folder;
  const storage = await openFolder(folder);
  try {
    for (const group of storage.groups()) {
      const log = storage.group(group);
      const { hardState, tail, memberships } = log.recovered;
      if (isOnlyMember(latestOf(memberships), identity)) {
        log.noteCommitted(tail.index);
        continue;
      }
      const next = { term: term(hardState.term + 1), vote: identity.actor };
      const records = recordsOf(group, log.recovered, identity, cluster, next.term);
      await storage.persist([{ group, hardState: next, records }]);
      log.noteCommitted(tailAfterAll(tail, records).index);
    }
  } finally {
    await storage.close();
  }
}

/** The membership comes last: where it is in the log, all that belongs to it is. */
function recordsOf(
  group: GroupId,
  recovered: RecoveredGroup,
  { actor, instance }: NodeIdentity,
  cluster: NewCluster,
  newTerm: Term,
): LogRecord[] {
  const records: LogRecord[] = [];
  const append = (kind: RecordKind, body: Uint8Array): void => {
    const unsealed = { kind, term: newTerm, eventCount: 0, payloadBytes: body.byteLength };
    records.push(sealRecord(tailAfterAll(recovered.tail, records), unsealed, (payload) => payload.set(body)));
  };
  if (group === CLUSTER_GROUP) {
    const founding = foundingOf(ClusterMachine.decode(recovered.state).state, { actor, instance }, cluster);
    if (founding !== undefined) append('cluster', encodeContent(founding));
  }
  append(
    'configuration',
    encodeMembership({ voters: [actor], outgoing: [], learners: [], members: [{ actor, instance }] }),
  );
  return records;
}

/** Undefined where the cluster had not come to its first record: the node founds it when it starts. */
function foundingOf(state: ClusterState, self: Seat, { clusterId, incarnations }: NewCluster): Founding | undefined {
  // At its old address: where it is started elsewhere, it says so itself.
  const member = state.members.find((each) => sameSeat(each, self));
  if (member === undefined) return undefined;
  const streams = state.streams.map((entry) => ({
    ...entry,
    incarnation: incarnations.get(entry.group) ?? entry.incarnation,
  }));
  return { clusterId, members: [{ ...self, address: member.address }], streams };
}

function tailAfterAll(tail: LogTail, records: readonly LogRecord[]): LogTail {
  const last = records.at(-1);
  return last === undefined ? tail : tailAfter(last);
}

export function latestOf(memberships: RecoveredGroup['memberships']): Membership {
  const latest = memberships.at(-1);
  if (latest === undefined) throw new FlotillaError('DATA_LOSS', 'the log names no members');
  return latest.membership;
}

export function isMember({ members }: Membership, { instance }: NodeIdentity): boolean {
  return members.some((member) => member.instance === instance);
}

function isOnlyMember(membership: Membership, identity: NodeIdentity): boolean {
  return membership.members.length === 1 && isMember(membership, identity) && isVoter(membership, identity.actor);
}
