import type { ChannelOptions } from '@grpc/grpc-js';
import { LIMITS } from '../base/index.js';

/** The largest message that anyone may send: whatever a node lets in must also fit into its append to another node. */
export const MESSAGE_BYTES_MAX = LIMITS.eventDataBytesMax + LIMITS.messageOverheadBytes;

/** A connection on which nothing answers a ping within the time-out is closed. */
export interface KeepaliveOptions {
  readonly keepaliveTimeMs?: number | undefined;
  readonly keepaliveTimeoutMs?: number | undefined;
}

/** grpc-js's own defaults for a server are unlimited. */
export function serverOptions(
  options: KeepaliveOptions & { readonly maxMessageBytes?: number | undefined },
): ChannelOptions {
  const maxMessageBytes = options.maxMessageBytes ?? MESSAGE_BYTES_MAX;
  return {
    'grpc.max_concurrent_streams': LIMITS.concurrentStreamsPerConnection,
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
    'grpc.keepalive_time_ms': options.keepaliveTimeMs ?? LIMITS.keepaliveTimeMs,
    'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs ?? LIMITS.keepaliveTimeoutMs,
    'grpc.max_connection_idle_ms': LIMITS.connectionIdleMs,
    // Node.js takes this in megabytes.
    'grpc-node.max_session_memory': LIMITS.sessionMemoryBytes / 1024 / 1024,
    'grpc.enable_channelz': 0,
  };
}

/** One connection of its own, dialled again within half a second, and no call ever sent twice. */
export function clientOptions(options: KeepaliveOptions): ChannelOptions {
  return {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': LIMITS.reconnectBackoffMs,
    'grpc.min_reconnect_backoff_ms': LIMITS.reconnectBackoffMs,
    'grpc.max_reconnect_backoff_ms': LIMITS.reconnectBackoffMsMax,
    'grpc.keepalive_time_ms': options.keepaliveTimeMs ?? LIMITS.keepaliveTimeMs,
    'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs ?? LIMITS.keepaliveTimeoutMs,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc-node.flow_control_window': LIMITS.readWindowBytes,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
    'grpc.enable_retries': 0,
    // grpc-js calls a message sent once it lies in this buffer; without it `send` obeys the connection.
    'grpc.per_rpc_retry_buffer_size': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
  };
}
