export { groupIdOf, groupsPathOf } from './groups-folder.js';
export {
  identityPath,
  type NodeIdentity,
  newIdentity,
  type Predecessor,
  readIdentity,
  writeIdentity,
} from './identity-file.js';
export { readKnownMembers } from './known-members.js';
export { type NewClusterPlan, readPlan, removePlan, writePlan } from './new-cluster-plan.js';
export {
  actorsIn,
  makeDirectories,
  type NodeDirectory,
  type NodeDirectoryOptions,
  nodePathOf,
  openNodeDirectory,
} from './node-directory.js';
