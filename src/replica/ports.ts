import type { ActorId, Counter, GroupId, LogIndex, Term, TimeBound } from '../base/index.js';
import type { Glob, ProducerStamp } from '../event/index.js';
import type { HardState, Message, TermStart } from '../raft/index.js';
import type {
  Checkpoint,
  ClockMessage,
  GatheredEvents,
  LogRecord,
  LogTail,
  PackedBody,
  PlacedMembership,
} from '../wire/index.js';
import type { NamespaceCursor } from './namespace-tally.js';

/**
 * One group's share of a write. Applied in this order: hard state, checkpoint, snapshot,
 * truncate, append, cut; a log with a later term than its hard state is damage.
 */
export interface PersistRequest {
  readonly group: GroupId;
  /** The log is replaced by an empty one that builds on this. A crash leaves the old one or the new. */
  readonly snapshot?: Checkpoint;
  /** Remove every record above this index first. */
  readonly truncateAfter?: LogIndex;
  /** Consecutive records; the first follows the log's (truncated) end. */
  readonly records: readonly LogRecord[];
  readonly hardState?: HardState;
  /** Give up the records up to this one: a {@link GroupLog.cutPoint}. */
  readonly cutThrough?: LogIndex;
  /** Of the segment that {@link GroupLog.checkpointDue} has named. */
  readonly checkpoint?: IndexedState;
}

/** A group's encoded state when the record of this index was the last to be applied. */
export interface IndexedState {
  readonly index: LogIndex;
  readonly state: Uint8Array;
}

/** The state that a group's committed records lead to, applied in the order of the log. */
export interface MachineState {
  /** Of the last record that was applied; 0 before the first. */
  readonly appliedIndex: LogIndex;
  /** Takes the next committed record. Throws UPGRADE_NEEDED where it is of a kind that is not known here. */
  apply(record: LogRecord): void;
  /** Equal states have equal bytes. */
  encode(): Uint8Array;
}

/** A kind of state machine: how a state begins, and how it is made of what {@link MachineState.encode} gave. */
export interface MachineKind<State extends MachineState = MachineState> {
  initial(): State;
  /** Of bytes whose checksum was verified. Throws UPGRADE_NEEDED where a newer version wrote them. */
  decode(bytes: Uint8Array): State;
}

/** The kinds of state machine that this version knows, by the names that the groups' files give them. */
export type MachineKinds = Readonly<Record<string, MachineKind>>;

/** What a group's log was found to hold when it was opened and verified. */
export interface RecoveredGroup {
  readonly hardState: HardState;
  /** What stands before the first record: index 0 until something is dropped. */
  readonly begin: LogTail;
  readonly tail: LogTail;
  /** The first index of each term above `begin`, ascending. */
  readonly termStarts: readonly TermStart[];
  /** Configurations in force, ascending by index; the first is the one as of `begin` or before. */
  readonly memberships: readonly PlacedMembership[];
  /** An index known to be committed: at least what the last run had noted. */
  readonly commitIndex: LogIndex;
  /** The machine's encoded state as of `commitIndex`. */
  readonly state: Uint8Array;
  /** 32 hexadecimal digits. */
  readonly incarnation: string;
  /** The kind of state machine that the group runs. */
  readonly machine: string;
}

/** The log of one Raft group, for reading. Writing is node-wide: {@link Storage.persist}. */
export interface GroupLog {
  readonly recovered: RecoveredGroup;
  /**
   * Persisted records from `from` to `to` (both included), verified; as many
   * as fit into `maxBytes`, at least one. Throws DATA_LOSS on damage, and
   * POSITION_REMOVED where `from` lies before the log's begin.
   */
  read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<LogRecord[]>;
  /** Index of the persisted events record that holds `counter`; undefined where there is none. */
  indexOfCounter(counter: Counter): Promise<LogIndex | undefined>;
  /** Index of the first persisted record at or behind a time; undefined where there is none. */
  indexOfTime(isLate: TimeBound): Promise<LogIndex | undefined>;
  /**
   * Index of the first persisted record from which on all records with events
   * have at most so many bytes together; undefined where all of the log's have.
   * Where something was truncated, too many by what one short read brings.
   */
  indexOfBytes(maxBytes: number): Promise<LogIndex | undefined>;
  /** Of the records that are stored. */
  readonly storedBytes: number;
  /**
   * The last place at or below `index` where the log can be made to begin, or where it begins:
   * records are given up by whole segments, up to one that has its checkpoint.
   */
  cutPoint(index: LogIndex): LogIndex;
  /** Goes through the log by what is known of its records without reading them. */
  search(glob: Glob, turns?: Turns): GlobSearch;
  /**
   * All that a log which begins after `index` builds on. `index` is where this
   * log begins, or a cut point of it; POSITION_REMOVED where it was given up.
   * Throws DATA_LOSS where it is damaged and can't be made again.
   */
  checkpointAt(index: LogIndex): Promise<Checkpoint>;
  /**
   * The record behind which the state has to be stored next, from `from` on: the
   * first one before a segment that has no checkpoint. A record behind it becomes
   * durable only when this tells of it, so who applies what is durable never goes
   * past it unawares.
   */
  checkpointDue(from: LogIndex): LogIndex | undefined;
  /**
   * The namespaces of records from `from` on, up to at most `through`; undefined where they aren't known without
   * reading the records there.
   */
  namespaces(from: LogIndex, through: LogIndex, names: NamespaceRange): Promise<NamespaceTable | undefined>;
  /** Lets the next marker tell how far the log is known to be committed; `index` is durable here. Never waits. */
  noteCommitted(index: LogIndex): void;
}

/** Names that begin with `prefix` and come behind `after`; others may be among what is found. */
export interface NamespaceRange {
  readonly prefix: string;
  readonly after: string;
}

/** What is known of the namespaces of some records, the last of them `through`. */
export interface NamespaceTable {
  readonly rows: NamespaceCursor;
  readonly through: LogIndex;
}

/** A walk through a log, for those events only that match a glob. */
export interface GlobSearch {
  /**
   * What matches from `from` on, as far as one read goes; nothing behind
   * `through` counts. Undefined where that isn't known without reading the
   * records that stand there: read some, and ask again behind them.
   */
  next(from: LogIndex, through: LogIndex): Promise<LogMatches | undefined>;
}

/**
 * Everything that matches, up to a record: the records that hold it, with other
 * events among theirs, or the events themselves. `ordered`: by counter from one
 * pack to the next; else only within each.
 */
export type LogMatches =
  | { readonly kind: 'records'; readonly records: readonly LogRecord[]; readonly through: LogIndex }
  | {
      readonly kind: 'events';
      readonly gathered: readonly GatheredEvents[];
      readonly ordered: boolean;
      readonly through: LogIndex;
    };

/**
 * Durable state of all of a node's groups. After the first failed write every
 * further call fails: the node must stop.
 */
export interface Storage {
  /** Resolves when everything is fsynced. Calls are carried out in order. */
  persist(requests: readonly PersistRequest[]): Promise<void>;
  group(id: GroupId): GroupLog;
  close(): Promise<void>;
}

/** Where a batch stands once it is committed. */
export interface Proposed {
  readonly firstCounter: Counter;
  /** The node that took it in: of a batch that was sent again, the first time. */
  readonly actor: ActorId;
  readonly index: LogIndex;
  readonly term: Term;
}

/** Messages to the other nodes. Nothing here waits for the receiver, and everything may be lost. */
export interface PeerTransport {
  /** False where the link is down: the message is dropped. `records` belong to an append. */
  send(to: ActorId, group: GroupId, message: Message, records: readonly LogRecord[]): boolean;
  /**
   * Hands a batch to the leader. Rejects with NOT_LEADER, NO_LEADER, SHUTTING_DOWN
   * or TOO_MANY_REQUESTS where it was certainly not proposed, with
   * OUTCOME_UNKNOWN where that can't be said.
   */
  forward(to: ActorId, group: GroupId, body: PackedBody, stamp: ProducerStamp): Promise<Proposed>;
}

/** What a node says to another beside the messages of its groups. */
export interface NodeTransport extends PeerTransport {
  /** Asks for the time, or tells it, where the link stands. */
  tellClock(to: ActorId, message: ClockMessage): void;
  /** Says that this node is alive, where the link stands. */
  heartbeat(to: ActorId): void;
}

/**
 * How a link to a peer stands: `open`; `closed` (lost, being dialled again);
 * `refused`: the peer's host answered that nothing listens there, so its
 * process is gone, unlike after a pause or a cut cable.
 */
export type LinkState = 'open' | 'closed' | 'refused';

/** What the links bring in. */
export interface PeerEvents {
  /** Something has come from this node; called before what came is handed on. */
  onHeard(from: ActorId): void;
  onMessage(from: ActorId, group: GroupId, message: Message, records: readonly LogRecord[]): void;
  onClock(from: ActorId, message: ClockMessage): void;
  /** A batch that `from` took in. Rejections as in {@link PeerTransport.forward}. */
  onForward(from: ActorId, group: GroupId, body: PackedBody, stamp: ProducerStamp): Promise<Proposed>;
  onLink(peer: ActorId, state: LinkState): void;
  /**
   * A member whose own copy is damaged wants committed records. None where `from` is not known to be committed here, or
   * was given up.
   */
  onFetch(group: GroupId, from: LogIndex, to: LogIndex): Promise<LogRecord[]>;
}

/** Has of other nodes what this one's copy has lost. */
export interface RecordSource {
  /** There are no other members. */
  readonly isAlone: boolean;
  /**
   * Consecutive committed records from `from` on, not beyond `to`, as many as
   * fit into a message; empty where nobody who can be reached has the first one.
   * Their envelopes are sound; that they continue what stands before them is for
   * the caller to check.
   */
  fetch(group: GroupId, from: LogIndex, to: LogIndex): Promise<readonly LogRecord[]>;
}

/** Time, as a replica sees it; simulated in tests. */
export interface Clock {
  /** Monotonic milliseconds: what time-outs are measured with. */
  nowMs(): number;
  /**
   * UTC milliseconds, as this machine's time of day says. It may be wrong: what counts is the time of a group,
   * GroupTime.
   */
  utcMs(): number;
  after(delayMs: number, run: () => void): Timer;
  /** Runs once the input that has already arrived was taken in. */
  soon(run: () => void): void;
}

/** The share of the event loop's time that work for readers takes; see `ReadTurns`. */
export interface Turns {
  /** Whether others are to go first: await {@link next}, and go on then. */
  readonly isDue: boolean;
  /** Resolves when there is time again. */
  next(): Promise<void>;
}

/** For whoever has the process to itself: all the time there is. */
export const UNDIVIDED: Turns = { isDue: false, next: () => Promise.resolve() };

export interface Timer {
  cancel(): void;
}
