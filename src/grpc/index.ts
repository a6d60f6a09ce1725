import type { RpcServer } from '../rpc/index.js';
import { type Service, unrestricted } from '../service/index.js';
import { proto } from '../wire/index.js';
import { backupHandlers } from './backup-handlers.js';
import { clusterHandlers } from './cluster-handlers.js';
import { eventHandlers } from './event-handlers.js';
import { namespaceHandlers, streamHandlers } from './stream-handlers.js';

export { BatchThread } from './batch-thread.js';
export { askNode } from './cluster-handlers.js';

/**
 * Callers do not say which user they are: the node is bound to loopback, or its operator has said that it does not
 * matter.
 */
const ANYBODY = unrestricted('anybody');

/** Opens the door for gRPC clients. */
export function addClientServices(server: RpcServer, { events, streams, cluster, backups }: Service): void {
  server.add(proto.EventServiceDefinition, eventHandlers(events, ANYBODY));
  server.add(proto.StreamServiceDefinition, streamHandlers(streams, ANYBODY));
  server.add(proto.NamespaceServiceDefinition, namespaceHandlers(streams, ANYBODY));
  server.add(proto.ClusterServiceDefinition, clusterHandlers(cluster, ANYBODY));
  server.add(proto.BackupServiceDefinition, backupHandlers(backups, ANYBODY));
}
