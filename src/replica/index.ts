export type { Logger } from './logger.js';
export { MemberUpkeep } from './member-upkeep.js';
export type { ReplicaObserver } from './observer.js';
export * from './ports.js';
export { Replica, type ReplicaOptions } from './replica.js';
