export type { Caller, NewBatch, ReadPart, ReadRequest, Receipt, Service } from '../service/index.js';
export { unrestricted } from '../service/index.js';
export type { Logging, Metrics } from '../telemetry/index.js';
export { createLogging, createMetrics } from '../telemetry/index.js';
export * from './config/index.js';
export type { RunningNode } from './node-supervisor.js';
export { startNode } from './start.js';
export { VERSION } from './version.js';
