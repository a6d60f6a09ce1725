export { type ClusterView, clusterHandlers } from './cluster-service.js';
export { EventService } from './event-service.js';
export { takeInMember } from './members.js';
export type { Streams } from './streams.js';
