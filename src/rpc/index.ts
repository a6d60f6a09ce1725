export { Allowance } from './allowance.js';
export { type CallOptions, type ConnectionState, RpcClient, type RpcClientOptions } from './client.js';
export { ClientDuplex, ClientReadable } from './client-call.js';
export { MESSAGE_BYTES_MAX } from './connections.js';
export type { OnMessage } from './incoming.js';
export type { LargeRequest, LargeRequests } from './request-decoder.js';
export { type Handlers, RpcServer, type RpcServerOptions } from './server.js';
export type {
  CallContext,
  DuplexHandler,
  DuplexStream,
  OnInternalError,
  ServerStream,
  ServerStreamHandler,
  UnaryHandler,
} from './server-call.js';
export type { RequestOf, ResponseOf, RpcService } from './service.js';
export { errorFromStatus, type FailedCall } from './status.js';
