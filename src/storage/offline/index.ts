export { type InspectedGroup, type InspectedNode, type InspectedSegment, inspectNode } from './inspect-node.js';
export { type HeldLogView, readHeldLog } from './read-log.js';
export type { Damage, OnProgress, Remedy, VerifiedGroup } from './verify-group.js';
export { type Verification, verifyNode } from './verify-node.js';
