import { type GroupId, groupId, type Member } from '../base/index.js';
import { CLUSTER_GROUP, CLUSTER_GROUP_NAME } from '../cluster/index.js';
import { DEFAULT_STREAM } from '../event/index.js';
import { CLUSTER_KIND } from '../machine/cluster/index.js';
import { STREAM_KIND } from '../machine/stream/index.js';
import type { Founded } from '../peer/index.js';
import type { LevelStorage, NodeDirectory } from '../storage/index.js';
import { DEFAULT_GROUP, incarnationOf } from '../stream/index.js';

export interface JoinClusterOptions {
  readonly self: Member;
  readonly founded: Founded;
  readonly storage: LevelStorage;
  readonly directory: NodeDirectory;
  /** Groups beside those of the cluster and of `default`; only measurements need them. */
  readonly furtherGroups?: number | undefined;
}

/** Makes the groups, then the node a member of its cluster, unless a start before this one has done so. */
export async function joinCluster(options: JoinClusterOptions): Promise<void> {
  const { self, founded, storage, directory, furtherGroups = 0 } = options;
  const { clusterId, membership } = founded;
  if (directory.identity.clusterId !== undefined) return;
  const create = async (group: GroupId, name: string, machine: string): Promise<void> => {
    await storage.createGroup({ group, incarnation: incarnationOf(clusterId, name), machine, membership });
  };
  await create(CLUSTER_GROUP, CLUSTER_GROUP_NAME, CLUSTER_KIND.name);
  await create(DEFAULT_GROUP, DEFAULT_STREAM, STREAM_KIND.name);
  for (let further = 1; further <= furtherGroups; further++)
    await create(groupId(DEFAULT_GROUP + further), `group ${DEFAULT_GROUP + further}`, STREAM_KIND.name);
  await directory.follow(clusterId, self, founded);
  await directory.joinCluster(clusterId);
}
