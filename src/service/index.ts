export { backupHandlers } from './backup.js';
export { type ClusterView, clusterHandlers } from './cluster.js';
export { EventService } from './events.js';
export { handOver, type MembersView, takeInMember } from './members.js';
export { namespaceHandlers } from './namespaces.js';
export { Reading } from './reading.js';
export { streamHandlers } from './stream-settings.js';
export type { Streams } from './streams.js';
