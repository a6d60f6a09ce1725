export { Deadlines } from './deadlines.js';
export type { GlobReads } from './glob-reads.js';
export * from './kind-versions.js';
export type { Logger } from './logger.js';
export { MemberUpkeep, type Speaker } from './member-upkeep.js';
export type { ReplicaObserver } from './observer.js';
export * from './ports.js';
export { Replica, type ReplicaOptions } from './replica.js';
export { type HostedGroup, ReplicaHost, type ReplicaHostOptions } from './replica-host.js';
