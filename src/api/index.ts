export { backupHandlers } from './backup-service.js';
export { type ClusterView, clusterHandlers } from './cluster-service.js';
export { EventService } from './event-service.js';
export { handOver, type MembersView, takeInMember } from './members.js';
export { namespaceHandlers } from './namespace-service.js';
export { Reading } from './reading.js';
export { streamHandlers } from './stream-service.js';
export type { Streams } from './streams.js';
