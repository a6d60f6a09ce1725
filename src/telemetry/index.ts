export type {
  Counter,
  Gauge,
  Histogram,
  LabelledCounter,
  PeerGauge,
  PeerStateGauge,
  StateGauge,
} from './instruments.js';
export {
  isLogLevel,
  isLogModule,
  LOG_LEVELS,
  LOG_MODULES,
  type LogLevel,
  type LogLevels,
  type LogModule,
} from './log-levels.js';
export { createLogging, type LogDestination, type Logging, type LoggingOptions } from './logging.js';
export { createMetrics, type Metrics, RAFT_ROLES, type RaftRole } from './metrics.js';
