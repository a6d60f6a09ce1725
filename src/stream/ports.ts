import type { ActorId, GroupId, LogIndex } from '../base/index.js';
import type { EventId, Glob, ProducerStamp } from '../event/index.js';
import type { GroupLog, GroupsEvents, GroupsTransport, Storage } from '../group/index.js';
import type { Proposed } from '../machine/index.js';
import type { GatheredEvents, LogRecord, PackedBody } from '../wire/index.js';

/** The log of a stream, for reading by namespace. */
export interface StreamLog extends GroupLog {
  /** Goes through the log by what is known of its records without reading them. */
  search(glob: Glob, turns?: Turns): GlobSearch;
  /**
   * The namespaces of records from `from` on, up to at most `through`; undefined where they aren't known without
   * reading the records there.
   */
  namespaces(from: LogIndex, through: LogIndex, names: NamespaceRange): Promise<NamespaceTable | undefined>;
}

/** The storage of a node's groups, of which each may be a stream's. */
export interface StreamStorage extends Storage {
  group(id: GroupId): StreamLog;
}

/** Names that begin with `prefix` and come behind `after`; other names may be among what is found. */
export interface NamespaceRange {
  readonly prefix: string;
  readonly after: string;
}

/** What a part of a log holds of one namespace. */
export interface NamespaceCount {
  /** UTF-8. */
  readonly name: Uint8Array;
  readonly count: number;
  readonly first: EventId;
  readonly last: EventId;
}

/** Namespaces of a part of a log, ascending by bytes; some at a time, none behind the last. */
export interface NamespaceCursor {
  next(): Promise<readonly NamespaceCount[]>;
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

/** Batches to the leaders on other nodes. */
export interface BatchTransport {
  /**
   * Hands a batch to the leader. Rejects with NOT_LEADER, NO_LEADER, SHUTTING_DOWN
   * or TOO_MANY_REQUESTS where it was certainly not proposed, with
   * OUTCOME_UNKNOWN where that can't be said.
   */
  forward(to: ActorId, group: GroupId, body: PackedBody, stamp: ProducerStamp): Promise<Proposed>;
}

/** What a node says to another. */
export interface NodeTransport extends GroupsTransport, BatchTransport {}

/** What the links bring in. */
export interface PeerEvents extends GroupsEvents {
  /** A batch that `from` took in. Rejections as in {@link BatchTransport.forward}. */
  onForward(from: ActorId, group: GroupId, body: PackedBody, stamp: ProducerStamp): Promise<Proposed>;
}

/** The share of the event loop's time that work for readers takes; see `ReadTurns`. */
export interface Turns {
  /** Whether other readers are to go first: await {@link next}, and go on then. */
  readonly isDue: boolean;
  /** Resolves when there is time again. */
  next(): Promise<void>;
}

/** For work that has the process to itself: all the time there is. */
export const UNDIVIDED: Turns = { isDue: false, next: () => Promise.resolve() };
