import type { ActorId, LogIndex, Term } from '../base/index.js';

/** What must be on disk before a vote or an acknowledgement leaves (dissertation, figure 3.1). */
export interface HardState {
  readonly term: Term;
  /** The candidate that got this node's vote in `term`, or none. */
  readonly vote: ActorId | undefined;
}

/**
 * Who takes part. While `outgoing` is not empty the configuration is joint:
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

/** What consensus needs to know of a log entry; its body stays outside. */
export interface EntryInfo {
  readonly index: LogIndex;
  readonly term: Term;
  /** Size of the whole record, for the replication window. */
  readonly bytes: number;
  /** Set where the entry holds events: what a server without room for more does not accept (room.ts). */
  readonly holdsEvents?: true;
  /** Set where the entry is a configuration. */
  readonly configuration?: Configuration;
}
