import type { RpcServer } from '../rpc/index.js';
import {
  backupHandlers,
  type ClusterView,
  clusterHandlers,
  type EventService,
  namespaceHandlers,
  type Streams,
  streamHandlers,
} from '../service/index.js';
import type { LevelStorage } from '../storage/index.js';
import { proto } from '../wire/index.js';

/** What clients may call of a node. */
export interface ClientFace {
  readonly events: EventService;
  readonly streams: Streams;
  readonly storage: LevelStorage;
  readonly view: () => ClusterView;
}

export function addClientServices(server: RpcServer, { events, streams, storage, view }: ClientFace): void {
  server.add(proto.EventServiceDefinition, events.handlers);
  server.add(proto.StreamServiceDefinition, streamHandlers(streams));
  server.add(proto.NamespaceServiceDefinition, namespaceHandlers(streams, events.reading));
  server.add(proto.ClusterServiceDefinition, clusterHandlers(view));
  server.add(
    proto.BackupServiceDefinition,
    backupHandlers({ streams, storage, reading: events.reading, clusterId: () => view().clusterId }),
  );
}
