import { FlotillaError, type GroupId, LIMITS, logIndex, type Seat, sameSeat, type Term, term } from '../base/index.js';
import { CLUSTER_GROUP, MACHINES } from '../cluster/index.js';
import type { Clock, GroupLog, RecoveredGroup } from '../group/index.js';
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
      const before = group === CLUSTER_GROUP ? await clusterStateIn(log) : undefined;
      const records = recordsOf(before, tail, identity, cluster, next.term);
      await storage.persist([{ group, hardState: next, records }]);
      log.noteCommitted(tailAfterAll(tail, records).index);
    }
  } finally {
    await storage.close();
  }
}

/**
 * The membership comes last: where it is in the log, all that belongs to it is. `before`: the cluster's state, for its
 * group only.
 */
function recordsOf(
  before: ClusterState | undefined,
  tail: LogTail,
  { actor, instance }: NodeIdentity,
  cluster: NewCluster,
  newTerm: Term,
): LogRecord[] {
  const records: LogRecord[] = [];
  const append = (kind: RecordKind, body: Uint8Array): void => {
    const unsealed = { kind, term: newTerm, eventCount: 0, payloadBytes: body.byteLength };
    records.push(sealRecord(tailAfterAll(tail, records), unsealed, (payload) => payload.set(body)));
  };
  // Without a first record there is nothing to replace: the node founds its cluster when it starts.
  if (before !== undefined && before.clusterId !== '')
    append('cluster', encodeContent(foundingOf(before, { actor, instance }, cluster)));
  append(
    'configuration',
    encodeMembership({ voters: [actor], outgoing: [], learners: [], members: [{ actor, instance }] }),
  );
  return records;
}

/** The cluster's state as all of a log says it, whether that is known to be committed or not. */
export async function clusterStateIn(log: GroupLog): Promise<ClusterState> {
  const { state, tail } = log.recovered;
  const machine = ClusterMachine.decode(state);
  while (machine.appliedIndex < tail.index) {
    const from = logIndex(machine.appliedIndex + 1);
    for (const record of await log.read(from, tail.index, LIMITS.readChunkBytes)) machine.apply(record);
  }
  return machine.state;
}

function foundingOf(state: ClusterState, self: Seat, { clusterId, incarnations }: NewCluster): Founding {
  // At its old address: where it is started elsewhere, it says so itself.
  const { address = '' } = state.members.find((each) => sameSeat(each, self)) ?? {};
  const streams = state.streams.map((entry) => ({
    ...entry,
    incarnation: incarnations.get(entry.group) ?? entry.incarnation,
  }));
  return { clusterId, members: [{ ...self, address }], streams };
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
