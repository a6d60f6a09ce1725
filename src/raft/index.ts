export * from './configuration.js';
export * from './core.js';
export type { Outbound, PersistStep } from './durability.js';
export type { AppendPlan } from './leader.js';
export * from './log-shape.js';
export * from './messages.js';
export * from './quorum.js';
export type { Output, ReadResult, Role, Settings } from './server-state.js';
export * from './types.js';
