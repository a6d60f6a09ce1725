declare const brand: unique symbol;

/** A number or string that the compiler keeps apart from others of its kind. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A node of the cluster: 1..65535. */
export type ActorId = Brand<number, 'ActorId'>;

/** Raft's term: 0 before the first election, then growing. */
export type Term = Brand<number, 'Term'>;

/** A position in one Raft group's log: the first entry has index 1; 0 stands before it. */
export type LogIndex = Brand<number, 'LogIndex'>;

/** A Raft group; each stream is one. Never used again after its stream is deleted. */
export type GroupId = Brand<number, 'GroupId'>;

/** An event's counter: 1, 2, 3 … in the stream's order, without gaps. */
export type Counter = Brand<number, 'Counter'>;

export const actorId = (value: number): ActorId => value as ActorId;
export const term = (value: number): Term => value as Term;
export const logIndex = (value: number): LogIndex => value as LogIndex;
export const groupId = (value: number): GroupId => value as GroupId;
export const counter = (value: number): Counter => value as Counter;
