/**
 * The generated messages and service definitions of proto/flotilla/v1, as one
 * namespace: `proto.ReadRequest`. Some names (Member, PackedBody, Append) also
 * belong to types of our own, hence the namespace.
 */

export {
  BackupServiceDefinition,
  LogPosition,
  LogStarted,
  ReadLogRequest,
  ReadLogResponse,
  RecordList,
} from './gen/flotilla/v1/backup_service.js';
export {
  ClusterServiceDefinition,
  GetStatusRequest,
  GetStatusResponse,
  NodeRole,
  NodeStatus,
  RemoveMemberRequest,
  RemoveMemberResponse,
  TransferLeadershipRequest,
  TransferLeadershipResponse,
} from './gen/flotilla/v1/cluster_service.js';
export * from './gen/flotilla/v1/event.js';
export {
  AppendRequest,
  AppendResponse,
  BatchList,
  CaughtUp,
  Consistency,
  EventList,
  EventServiceDefinition,
  Failure,
  GatheredList,
  GetRequest,
  GetResponse,
  LeaderNotice,
  OpenProducerRequest,
  OpenProducerResponse,
  ProduceRequest,
  ProduceResponse,
  ReadRequest,
  ReadResponse,
  ReadStarted,
} from './gen/flotilla/v1/event_service.js';
export {
  ListNamespacesRequest,
  ListNamespacesResponse,
  NamespaceServiceDefinition,
  NamespaceSummary,
} from './gen/flotilla/v1/namespace_service.js';
export {
  Append,
  AppendResult,
  DeliverRequest,
  DeliverResponse,
  FetchRecordsRequest,
  FetchRecordsResponse,
  ForwardRequest,
  ForwardResponse,
  ForwardResponse_Failure,
  ForwardResponse_Proposed,
  Heartbeat,
  HeartbeatResult,
  IntroduceRequest,
  IntroduceResponse,
  JoinRequest,
  JoinResponse,
  Member,
  PeerServiceDefinition,
  Proof,
  ReadIndexRequest,
  ReadIndexResponse,
  TimeoutNow,
  VoteRequest,
  VoteResponse,
  Voucher,
} from './gen/flotilla/v1/peer_service.js';
export {
  GetStreamRequest,
  GetStreamResponse,
  SetStreamRequest,
  SetStreamResponse,
  StreamInfo,
  StreamServiceDefinition,
  StreamSettings,
} from './gen/flotilla/v1/stream_service.js';
