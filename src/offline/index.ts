export { type BackupRun, type BackupSummary, backUp, verifyBackup } from './backup.js';
export { type DumpEnd, type DumpedEnd, type DumpSink, dumpNode, requireReached, requireSameActor } from './dump.js';
export { nodesIn, type StoppedNodeAddress } from './held-node.js';
export { type InspectedGroup, type InspectedNode, type InspectedSegment, inspectNode } from './inspect-node.js';
export { type Restored, restoreFrom } from './restore.js';
export type { RestorePoint } from './restore-point.js';
export { inspectSurvivor, recoverSurvivor, type SurvivingStream, type Survivor } from './survivor.js';
export type { Damage, Remedy, VerifiedGroup } from './verify-group.js';
export { type Verification, verifyNode } from './verify-node.js';
