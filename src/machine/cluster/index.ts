export { actorIsTaken, ClusterAdmission } from './cluster-admission.js';
export {
  type ClusterCommand,
  clusterCommand,
  encodeContent,
  type Founding,
  leavingCommand,
  type MemberCommand,
  memberCommand,
} from './cluster-commands.js';
export { CLUSTER_KIND } from './cluster-kind.js';
export { ClusterMachine } from './cluster-machine.js';
export type { CatalogueEntry, ClusterState } from './cluster-state.js';
export type { ClusterMember } from './members.js';
