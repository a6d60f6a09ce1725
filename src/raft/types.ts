import type { ActorId, LogIndex, Term } from '../base/index.js';

/** What must be on disk before a vote or an acknowledgement leaves (dissertation, figure 3.1). */
export interface HardState {
  readonly term: Term;
  /** The candidate that got this node's vote in `term`, or none. */
  readonly vote: ActorId | undefined;
}

/**
 * The members, by their parts. While `outgoing` is not empty the configuration is joint:
 * every decision needs a majority of `voters` and one of `outgoing`
 * (dissertation, section 4.3). Learners receive the log and count for nothing.
 */
export interface Configuration {
  readonly voters: readonly ActorId[];
  readonly outgoing: readonly ActorId[];
  readonly learners: readonly ActorId[];
}

/** The first index of a term in the log. */
export interface TermStart {
  readonly term: Term;
  readonly index: LogIndex;
}

/** How little a server's disk still takes, as its driver reports it. */
export type DiskPressure = 'ok' | 'low' | 'full';

/** A read that was asked for here and is settled: safe at `index`, or not confirmed (0). */
export interface ReadResult {
  readonly requestId: number;
  readonly index: LogIndex;
}

/** What consensus needs to know of a log entry; its body stays outside. */
export interface EntryInfo {
  readonly index: LogIndex;
  readonly term: Term;
  /** Size of the whole record, for the replication window. */
  readonly bytes: number;
  /** Set where the entry holds events: a server whose disk is full does not accept it (disk-pressure.ts). */
  readonly holdsEvents?: true;
  /** Set where the entry is a configuration. */
  readonly configuration?: Configuration;
}
