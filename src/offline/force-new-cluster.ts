import { join, resolve } from 'node:path';
import { type ActorId, FlotillaError, type GroupId, type Member } from '../base/index.js';
import { CLUSTER_GROUP } from '../cluster/index.js';
import type { Clock, RecoveredGroup } from '../group/index.js';
import { isOnlyVoter } from '../raft/index.js';
import {
  groupsPathOf,
  type NewClusterPlan,
  type NodeIdentity,
  nodePathOf,
  readIdentity,
  readPlan,
  removePlan,
  writeIdentity,
  writePlan,
} from '../storage/directory/index.js';
import type { Disk } from '../storage/disk/index.js';
import { segmentsPath } from '../storage/group/index.js';

import { lockDirectory, nodeDisk } from '../storage/level/index.js';
import { readHeader, segmentName, segmentSequenceOf, writeHeader } from '../storage/segment/index.js';
import type { Membership } from '../wire/index.js';
import { beginNewCluster, clusterStateIn, isMember, latestOf, openFolder } from './new-cluster-membership.js';

/*
 * A node that has lost the majority of its cluster for good becomes the only
 * member of a new one:
 *
 * 1. the plan is made durable beside the identity: before it nothing has
 *    changed, after it a start is refused until all of it is carried out;
 * 2. every segment's header gets the new incarnation, one after the other:
 *    meanwhile the log can't be opened;
 * 3. a membership of this node alone is appended, in a term of its own. What
 *    stands before it counts as committed from then on, because nobody is left
 *    to say otherwise;
 * 4. the identity names the new cluster, which no former member belongs to;
 * 5. the plan goes.
 *
 * Each step finds what is done of it already, so whoever is interrupted begins
 * again from step 2.
 */

export interface StoppedNodeOptions {
  readonly dataDir: string;
  readonly actor: ActorId;
  readonly clock: Clock;
  /** Default: {@link nodeDisk}. */
  readonly disk?: Disk;
}

/** What a stopped node holds of one group. */
export interface HeldLog extends Pick<RecoveredGroup, 'tail' | 'begin' | 'commitIndex' | 'incarnation'> {
  readonly group: GroupId;
  /** The kind of state machine that the group runs. */
  readonly machine: string;
  readonly membership: Membership;
}

export interface StoppedNode {
  readonly path: string;
  readonly identity: NodeIdentity;
  /** Undefined where a recovery was begun and has not ended: half of the logs are the new cluster's. */
  readonly logs: readonly HeldLog[] | undefined;
  /** The members, as far as they are known; this node among them. */
  readonly members: readonly Member[];
}

export interface RecoveryOptions extends StoppedNodeOptions {
  /** 32 hexadecimal digits. An interrupted recovery goes on with its own. */
  readonly clusterId: string;
  readonly incarnationOf: (clusterId: string, group: GroupId) => string;
}

/**
 * What a stopped node holds, verified as a start does it; nothing of it is
 * changed. Throws INVALID_ARGUMENT where there is no such node, or it runs.
 */
export async function inspectStoppedNode(options: StoppedNodeOptions): Promise<StoppedNode> {
  return await withStoppedNode(options, async (path, identity, disk) => {
    const plan = await readPlan(disk, path);
    if (plan !== undefined) return { path, identity, logs: undefined, members: [] };
    return { path, identity, ...(await heldLogs(path, identity, options)) };
  });
}

/**
 * Makes a stopped node the only member of a new cluster, with all that it holds.
 * Resolves with what it holds then. Throws INVALID_ARGUMENT, and changes
 * nothing, where that makes no sense.
 */
export async function forceNewCluster(options: RecoveryOptions): Promise<StoppedNode> {
  return await withStoppedNode(options, async (path, identity, disk) => {
    const plan = (await readPlan(disk, path)) ?? (await begin(path, identity, disk, options));
    for (const { group, incarnation } of plan.groups)
      await renewIncarnation(disk, groupPath(path, group), group, incarnation);
    const incarnations = new Map(plan.groups.map(({ group, incarnation }) => [group, incarnation]));
    const { clusterId } = plan;
    await beginNewCluster({ path, identity, clock: options.clock, disk }, { clusterId, incarnations });
    const recovered = recoveredIdentity(identity, plan);
    await writeIdentity(path, recovered, disk);
    await removePlan(disk, path);
    return { path, identity: recovered, ...(await heldLogs(path, recovered, options)) };
  });
}

async function begin(
  path: string,
  identity: NodeIdentity,
  disk: Disk,
  options: RecoveryOptions,
): Promise<NewClusterPlan> {
  const { logs } = await heldLogs(path, identity, options);
  for (const { membership } of logs) {
    if (!isMember(membership, identity))
      throw refused(`${path} is no member of its cluster, as far as its log tells: recover another survivor`);
  }
  if (logs.every(({ membership }) => isOnlyVoter(membership, identity.actor)))
    throw refused(`${path} needs nobody else to go on: start it, there is nothing to recover from`);
  const { clusterId, incarnationOf } = options;
  return await writePlan(disk, path, {
    clusterId,
    groups: logs.map(({ group }) => ({ group, incarnation: incarnationOf(clusterId, group) })),
  });
}

async function withStoppedNode<Result>(
  { dataDir, actor, disk = nodeDisk }: StoppedNodeOptions,
  action: (path: string, identity: NodeIdentity, disk: Disk) => Promise<Result>,
): Promise<Result> {
  const path = nodePathOf(resolve(dataDir), actor);
  if ((await readIdentity(path, disk))?.clusterId === undefined)
    throw refused(`${path} is no node that was part of a cluster: look at --data-dir and --actor-id`);
  const lock = await lockDirectory(join(path, 'lock'));
  if (lock === undefined) throw refused(`actor ${actor} is running on ${dataDir}: a recovery needs it stopped`);
  try {
    const identity = await readIdentity(path, disk);
    if (identity?.actor !== actor)
      throw refused(`${path} is not the folder of actor ${actor}: was it copied or renamed?`);
    return await action(path, identity, disk);
  } finally {
    await lock.release();
  }
}

async function heldLogs(
  path: string,
  identity: NodeIdentity,
  { clock, disk = nodeDisk }: StoppedNodeOptions,
): Promise<{ readonly logs: readonly HeldLog[]; readonly members: readonly Member[] }> {
  const storage = await openFolder({ path, identity, clock, disk });
  const logs = storage.groups().map((group) => {
    const { tail, begin: beginTail, commitIndex, incarnation, machine, memberships } = storage.group(group).recovered;
    return { group, tail, begin: beginTail, commitIndex, incarnation, machine, membership: latestOf(memberships) };
  });
  const hasCluster = logs.some(({ group }) => group === CLUSTER_GROUP);
  const members = hasCluster ? (await clusterStateIn(storage.group(CLUSTER_GROUP))).members : [];
  await storage.close();
  return { logs, members };
}

/** Without opening the log: where this was interrupted, its segments are of two incarnations. */
async function renewIncarnation(disk: Disk, directory: string, group: GroupId, incarnation: string): Promise<void> {
  const path = segmentsPath(directory);
  for (const name of await disk.list(path)) {
    const sequence = segmentSequenceOf(name);
    if (sequence === undefined) continue;
    const segment = join(path, segmentName(sequence));
    const header = await readHeader(disk, segment, group, sequence);
    if (header !== undefined && header.incarnation !== incarnation)
      await writeHeader(disk, segment, { ...header, incarnation });
  }
}

function recoveredIdentity({ promised: _, ...identity }: NodeIdentity, { clusterId }: NewClusterPlan): NodeIdentity {
  return { ...identity, clusterId };
}

function groupPath(path: string, group: GroupId): string {
  return join(groupsPathOf(path), String(group));
}

function refused(why: string): FlotillaError {
  return new FlotillaError('INVALID_ARGUMENT', `${why}. Nothing was changed`);
}
