export type { Logger } from './logger.js';
export type { ReplicaObserver } from './observer.js';
export * from './ports.js';
export { Replica, type ReplicaOptions } from './replica.js';
