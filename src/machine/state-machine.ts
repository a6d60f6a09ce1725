import type { ActorId, Counter, FlotillaError, LogIndex, Term } from '../base/index.js';
import type { RecordKind } from './record-kinds.js';

/** What a state machine needs of a committed log record; LogRecord of src/wire is one. */
export interface CommittedRecord {
  readonly kind: RecordKind;
  readonly index: LogIndex;
  readonly term: Term;
  readonly firstCounter: Counter;
  readonly eventCount: number;
  /** Log time, UTC milliseconds. */
  readonly timeMs: number;
  readonly payload: Uint8Array;
}

/** What is proposed to a Raft group; its state machine knows what more there is to it. */
export interface Command {
  readonly kind: RecordKind;
  /** The node that took it in. */
  readonly actor: ActorId;
  readonly payloadBytes: number;
  readonly eventCount: number;
  /** Nothing is looked up for it: it is appended whatever the state is. */
  readonly isUnconditional?: boolean;
  /** UTC milliseconds, as its record's log time; absent: when it is appended. */
  readonly appendedMs?: number;
}

/** Where a command stands once it is committed. */
export interface Proposed {
  /** Counter of its first event, or of the next one where it has none. */
  readonly firstCounter: Counter;
  /** The node that took it in; of a batch that was sent again, the first time. */
  readonly actor: ActorId;
  readonly index: LogIndex;
  readonly term: Term;
}

/**
 * What a leader does with a command. `wait`: the answer depends on a record that may never be committed; ask again when
 * that record has taken effect. `isCertain`: what is there stays there; but that something is not there, a leader knows
 * only while a majority follows it.
 */
export type Decision =
  | { readonly kind: 'append' }
  | { readonly kind: 'wait'; readonly index: LogIndex }
  | { readonly kind: 'known'; readonly place: Proposed }
  | { readonly kind: 'refuse'; readonly error: FlotillaError; readonly isCertain: boolean };

/**
 * A leader's decisions about commands in one term, against its whole log: the state, and what it has appended since.
 * Whatever a caller is told of a command that was not appended depends on committed records only.
 */
export interface Admission<C extends Command, M> {
  decide(command: C, machine: M): Decision;
  /** The command stands in the log at `index`. */
  appended(command: C, index: LogIndex): void;
  /** Records up to `index` have taken effect. */
  applied(index: LogIndex): void;
}

/** Where the commands of a record stand, and when they were stamped. */
export interface RecordPlace {
  readonly firstCounter: Counter;
  /** UTC milliseconds. */
  readonly timestampMs: number;
}

/**
 * What runs on a Raft group: one state, reached by applying the committed records in the order of the log, and the
 * same on every node that has applied as many. No clock, no chance and no option of a node has a say in it.
 */
export interface StateMachine {
  /** Index of the last record that was applied; 0 before the first. */
  readonly appliedIndex: LogIndex;
  /** Up to this record only members that lag behind need the log, and a snapshot does for these. */
  readonly expendableIndex: LogIndex;
  /** Takes the next committed record. Throws UPGRADE_NEEDED where a newer version wrote it. */
  apply(record: CommittedRecord): void;
  /** Equal states have equal bytes. */
  encode(): Uint8Array;
  /**
   * The same in steps that take a millisecond or two each: the state as of the first one, whatever is applied between
   * them. Absent where no state of this kind is large.
   */
  encodeInSteps?(): Generator<void, Uint8Array>;
}

/** A kind of state machine: how one is made, and how its commands become records. */
export interface MachineKind<C extends Command, M extends StateMachine> {
  /** As a group's files name it. */
  readonly name: string;
  /** As of an empty log. */
  initial(): M;
  /**
   * The inverse of encode, of bytes with a verified checksum. Throws UPGRADE_NEEDED where a newer version wrote them.
   */
  decode(bytes: Uint8Array): M;
  /** Makes the admission of a leader's new term. */
  admission(): Admission<C, M>;
  /** Writes the payload of the record that holds these commands: one, or several of a shared kind. */
  write(payload: Uint8Array, commands: readonly C[], place: RecordPlace): void;
}
