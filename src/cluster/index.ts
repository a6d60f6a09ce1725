export { Cluster, type ClusterOptions } from './cluster.js';
export { CLUSTER_GROUP, CLUSTER_GROUP_NAME, type ClusterGroup, ON_CLUSTER_GROUP } from './cluster-group.js';
export { ClusterReconciler, nextCommand, type Speaker } from './cluster-reconciler.js';
export { MACHINES } from './machines.js';
export { changesOf, MembershipReconciler, type ReconciledGroup } from './membership-reconciler.js';
