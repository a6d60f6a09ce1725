export { authorize } from './authorize.js';
export type { BackupUseCases, LogPart, LogPosition, LogRequest, LogStarted } from './backup.js';
export { ACTIONS, type Action, type Caller, unrestricted } from './caller.js';
export { type BatchContent, checkBatch } from './check-batch.js';
export {
  type AskNode,
  type ClusterStatus,
  type ClusterUseCases,
  type ClusterView,
  type NodeRole,
  type NodeStatus,
  roleOf,
} from './cluster.js';
export type { EventUseCases, OpenedAs } from './events.js';
export type { GetRequest } from './get.js';
export type { NewBatch, Receipt } from './ingest.js';
export { handOver, type MembersView, takeInMember } from './members.js';
export type { NamespaceSummary, NamespacesRequest } from './namespaces.js';
export type { NumberedBatch, ProduceAnswer, ProducerStream } from './produce-session.js';
export type { ReadPart, ReadSink, ReadStarted, Sink } from './read-parts.js';
export type { Consistency, ReadRequest } from './read-plan.js';
export type { Allowance, NewAllowance } from './reading.js';
export { Service, type ServiceOptions } from './service.js';
export type { StreamInfo } from './stream-info.js';
export type { StreamUseCases } from './stream-use-cases.js';
export type { Streams } from './streams.js';
