import type { ActorId, LogIndex, Term } from '../base/index.js';
import type { DiskPressure, EntryInfo } from './types.js';

/** Asks for a vote (RequestVote, dissertation section 3.4), or whether one would be given (pre-vote, section 9.6). */
export interface VoteRequest {
  readonly type: 'vote-request';
  /** The candidate's term; in a pre-vote, the term that it would campaign in. */
  readonly term: Term;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly preVote: boolean;
  /** The leader itself asked for this election (section 3.10): the recent-leader rule does not hold. */
  readonly leadershipTransfer: boolean;
}

export interface VoteResponse {
  readonly type: 'vote-response';
  readonly term: Term;
  readonly granted: boolean;
  readonly preVote: boolean;
}

/** AppendEntries (section 3.5). The records themselves travel beside the message. */
export interface Append {
  readonly type: 'append';
  readonly term: Term;
  readonly previousIndex: LogIndex;
  readonly previousTerm: Term;
  readonly commitIndex: LogIndex;
  readonly entries: readonly EntryInfo[];
}

export interface AppendResult {
  readonly type: 'append-result';
  readonly term: Term;
  readonly accepted: boolean;
  /**
   * Accepted: the last index that is durable here and matches the leader's log. Refused: the previousIndex that did not
   * match.
   */
  readonly index: LogIndex;
  /** Refused: the last index, not above the refused one, at which this log may still match. */
  readonly hintIndex: LogIndex;
  /** Refused: the term of this log at `hintIndex`. */
  readonly hintTerm: Term;
}

export interface Heartbeat {
  readonly type: 'heartbeat';
  readonly term: Term;
  /** Not above what the receiver is known to hold. */
  readonly commitIndex: LogIndex;
  /** Rounds count up within a leader's term; an answer to round n proves that the sender led when it began. */
  readonly round: number;
  /** Nothing is left to do: the receiver is asked to quiesce (quiescence.ts). */
  readonly quiesce: boolean;
}

export interface HeartbeatResult {
  readonly type: 'heartbeat-result';
  readonly term: Term;
  /** 0: answers no round; the sender wishes to hear the leader, or knows a later term. */
  readonly round: number;
  /** The sender has quiesced, as it was asked to. */
  readonly quiesced: boolean;
  /** The sender's disk; absent: `ok`, or, in an answer to no round, not said. */
  readonly diskPressure?: DiskPressure;
}

/** Campaign at once (leadership transfer, section 3.10). */
export interface TimeoutNow {
  readonly type: 'timeout-now';
  readonly term: Term;
}

/** A follower asks the leader for an index that is safe to read at (section 6.4). */
export interface ReadIndexRequest {
  readonly type: 'read-index-request';
  readonly term: Term;
  readonly requestId: number;
}

export interface ReadIndexResponse {
  readonly type: 'read-index-response';
  readonly term: Term;
  readonly requestId: number;
  /** 0: could not be confirmed; ask again. */
  readonly index: LogIndex;
}

/**
 * A piece of a snapshot (InstallSnapshot, section 5.2): what stands before the
 * first entry that the leader still has. The entries after it follow as appends.
 */
export interface SnapshotChunk {
  readonly type: 'snapshot';
  readonly term: Term;
  /** The last entry that the snapshot stands for … */
  readonly index: LogIndex;
  /** … and its term. */
  readonly indexTerm: Term;
  /** The place in the snapshot at which `data` begins. */
  readonly offset: number;
  readonly totalBytes: number;
  /** SHA-256 over the whole snapshot, 64 hexadecimal digits. */
  readonly digest: string;
  /** Consensus does not look into it. */
  readonly data: Uint8Array;
}

export interface SnapshotResult {
  readonly type: 'snapshot-result';
  readonly term: Term;
  /** The snapshot's. */
  readonly index: LogIndex;
  /**
   * The receiver holds it up to here, and waits for what follows. Its end is acknowledged with an append result, once
   * it is durable.
   */
  readonly receivedBytes: number;
}

export type Message =
  | VoteRequest
  | VoteResponse
  | Append
  | AppendResult
  | Heartbeat
  | HeartbeatResult
  | TimeoutNow
  | ReadIndexRequest
  | ReadIndexResponse
  | SnapshotChunk
  | SnapshotResult;

/** A pre-vote's term is one that no server is in yet. */
export function isPreVote(message: Message): boolean {
  return (
    (message.type === 'vote-request' && message.preVote) ||
    (message.type === 'vote-response' && message.preVote && message.granted)
  );
}

/** The leader of the message's term, where the message tells. */
export function leaderOf(from: ActorId, message: Message): ActorId | undefined {
  return message.type === 'append' || message.type === 'heartbeat' || message.type === 'snapshot' ? from : undefined;
}
