import type { ActorId, Counter, GroupId, LogIndex, Seat, TimeBound } from '../base/index.js';
import type { MachineKind, StateMachine } from '../machine/index.js';
import type { HardState, Message, TermStart } from '../raft/index.js';
import type { Checkpoint, ClockMessage, LogRecord, LogTail, PlacedMembership } from '../wire/index.js';

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

/** The encoded state of what runs on the group, when the record of this index was the last to be applied. */
export interface IndexedState {
  readonly index: LogIndex;
  readonly state: Uint8Array;
}

/** What runs on a group, as far as its storage goes: it makes states of records and of encoded states. */
export type StoredMachine = Pick<MachineKind<never, StateMachine>, 'initial' | 'decode'>;

/** The kinds of state machine that this version knows, by the names that the groups' files give them. */
export type MachineKinds = Readonly<Record<string, StoredMachine>>;

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
  /** The encoded state of what runs on the group, as of `commitIndex`. */
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
  /** Lets the next marker tell how far the log is known to be committed; `index` is durable here. Never waits. */
  noteCommitted(index: LogIndex): void;
}

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

/** Messages to the other nodes. Nothing here waits for the receiver, and everything may be lost. */
export interface PeerTransport {
  /** False where the link is down: the message is dropped. `records` belong to an append. */
  send(to: ActorId, group: GroupId, message: Message, records: readonly LogRecord[]): boolean;
}

/** What a node says to another beside the messages of its groups. */
export interface GroupsTransport extends PeerTransport {
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

/** What the links bring in for the groups of a node. */
export interface GroupsEvents {
  /** Something has come from this node; called before what came is handed on. */
  onHeard(from: ActorId): void;
  onMessage(from: ActorId, group: GroupId, message: Message, records: readonly LogRecord[]): void;
  /** The node that this node's log of the group means by an actor; undefined where it names none. */
  seatOf(group: GroupId, actor: ActorId): Seat | undefined;
  onClock(from: ActorId, message: ClockMessage): void;
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

/** Time, as a group sees it; simulated in tests. */
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

export interface Timer {
  cancel(): void;
}
