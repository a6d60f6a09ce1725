import { FlotillaError, groupId } from '../base/index.js';
import type { Group, MachineOptions } from '../group/index.js';
import { CLUSTER_KIND, type ClusterCommand, type ClusterMachine } from '../machine/cluster/index.js';

/** The group of the cluster's own state: it is on every member. */
export const CLUSTER_GROUP = groupId(0);

/** What stands for a stream's name in the incarnation of group 0; no stream has it. */
export const CLUSTER_GROUP_NAME = '';

export type ClusterGroup = Group<ClusterCommand, ClusterMachine>;

/** What runs on the cluster's group. */
export const ON_CLUSTER_GROUP: MachineOptions<ClusterCommand, ClusterMachine> = {
  kind: CLUSTER_KIND,
  forward: async () => {
    throw new FlotillaError('NOT_LEADER', 'this node does not lead the cluster; nothing was proposed: ask the leader');
  },
};
