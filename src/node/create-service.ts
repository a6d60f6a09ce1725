import { systemClock } from '../group/index.js';
import { askNode, BatchThread } from '../grpc/index.js';
import { Allowance, MESSAGE_BYTES_MAX } from '../rpc/index.js';
import { Service, type ServiceOptions } from '../service/index.js';
import type { Metrics } from '../telemetry/index.js';
import type { ServerConfig } from './config/index.js';

export interface CreateServiceOptions extends Pick<ServiceOptions, 'streams' | 'storage' | 'view'> {
  readonly config: ServerConfig;
  readonly metrics: Metrics;
}

/** What a node does for its callers, and the thread that decodes large batches before they get there. */
export function createService(options: CreateServiceOptions): { service: Service; batches: BatchThread } {
  const limits = { eventDataBytes: options.config.eventDataBytes };
  const service = new Service({
    ...options,
    limits,
    askNode,
    newAllowance: (amount) => new Allowance({ clock: systemClock, ...amount }),
  });
  return { service, batches: new BatchThread({ event: limits, messageBytesMax: MESSAGE_BYTES_MAX }) };
}
