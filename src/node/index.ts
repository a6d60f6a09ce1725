export type { Logging, Metrics } from '../telemetry/index.js';
export { createLogging, createMetrics } from '../telemetry/index.js';
export * from './config/index.js';
export type { RunningNode } from './lives.js';
export { inspectSurvivor, recoverSurvivor, type SurvivingStream, type Survivor } from './recover.js';
export { startNode } from './start.js';
export * from './stopped-nodes.js';
export { VERSION } from './version.js';
