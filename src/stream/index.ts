export type { GlobReads } from './glob-reads.js';
export { listNamespaces, type NamespaceListing } from './namespace-list.js';
export type { NamespaceCount, NamespaceCursor } from './namespace-tally.js';
export * from './ports.js';
export { inTurns, ReadTurns } from './read-turns.js';
export { type OpenedProducer, Stream, type StreamObserver } from './stream.js';
export { type StreamGroup, streamOn } from './stream-group.js';
export { type HostedStream, StreamHost } from './stream-host.js';
export { StreamState } from './stream-state.js';
