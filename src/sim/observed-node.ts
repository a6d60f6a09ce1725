import { type ActorId, type LogIndex, logIndex, term } from '../base/index.js';
import type { PersistRequest, RecoveredGroup } from '../group/index.js';
import type { Configuration, HardState, Message } from '../raft/index.js';
import type { Stream } from '../stream/index.js';
import type { LogRecord, LogTail } from '../wire/index.js';
import { Violation } from './violation.js';

/** A message between nodes, with the records of an append. */
export interface Packet {
  readonly from: ActorId;
  readonly to: ActorId;
  readonly message: Message;
  readonly records: readonly LogRecord[];
}

/** Says that its sender's node lives, in the place of all groups that have quiesced. */
export interface NodeHeartbeat {
  readonly from: ActorId;
  readonly to: ActorId;
  readonly message: undefined;
}

/** Whatever one node sends to another. */
export type Letter = Packet | NodeHeartbeat;

/**
 * The records of a run by index and checksum. The checksum is chained, so it stands for the whole history before it.
 */
export class KnownRecords {
  private readonly byIndex: Map<number, LogRecord>[] = [];

  add(record: LogRecord): void {
    let known = this.byIndex[record.index];
    if (known === undefined) {
      known = new Map();
      this.byIndex[record.index] = known;
    }
    known.set(record.checksum, record);
  }

  find(index: number, checksum: number): LogRecord | undefined {
    return this.byIndex[index]?.get(checksum);
  }
}

/**
 * What is known of one node from outside: its log as its process sees it, and
 * what its storage has said to be durable. The invariants are held to this.
 * A record of index i stands at i - 1.
 */
export class ObservedNode {
  readonly actor: ActorId;
  /** The log of the process that runs; the last one's where none does. */
  records: LogRecord[] = [];
  /** Answered by the storage: from here on no crash may take it. */
  stored: LogRecord[] = [];
  storedHardState: HardState = { term: term(0), vote: undefined };
  /** Asked of the storage and not answered. */
  private writing: PersistRequest[] = [];
  /** Set while it takes part. */
  stream: Stream | undefined;
  /** Lowest index that the last step wrote; Infinity where it wrote none. */
  changedFrom = Number.POSITIVE_INFINITY;
  /** The one in force before the last step. */
  configurationBefore: Configuration = { voters: [], outgoing: [], learners: [] };
  truncations = 0;
  snapshots = 0;
  /** The place at which its log began after the last step. */
  beginIndex = 0;
  /** Whether it had quiesced after the last step. */
  quiesced = false;
  private readonly known: KnownRecords;

  constructor(actor: ActorId, known: KnownRecords) {
    this.actor = actor;
    this.known = known;
  }

  appended(record: LogRecord): void {
    this.known.add(record);
    if (record.index <= this.records.length) {
      this.records.length = record.index - 1;
      this.truncations++;
    }
    this.records.push(record);
    this.changedFrom = Math.min(this.changedFrom, record.index);
  }

  /** A snapshot took the log's place: the history up to its end is the leader's. */
  replaced(before: LogTail): void {
    const history = this.historyOf(before);
    this.changedFrom = Math.min(this.changedFrom, 1 + sharedBy(this.records, history));
    this.records = history;
    this.snapshots++;
  }

  asked(requests: readonly PersistRequest[]): void {
    this.writing.push(...requests);
  }

  persisted(requests: readonly PersistRequest[]): void {
    this.writing = this.writing.filter((request) => !requests.includes(request));
    for (const { snapshot, truncateAfter, records, hardState } of requests) {
      if (hardState !== undefined) this.storedHardState = hardState;
      if (snapshot !== undefined) this.stored = this.historyOf(snapshot.before);
      if (truncateAfter !== undefined) this.stored.length = Math.min(this.stored.length, truncateAfter);
      for (const record of records) this.stored.push(record);
    }
  }

  /**
   * A process has found this on the disk. All that was answered must be there;
   * what was asked for may be. Throws where anything else is. True where
   * something that the last process knew is gone.
   */
  recovered({ hardState, tail }: RecoveredGroup): boolean {
    const property = 'what the storage has answered outlives every crash';
    const asked = this.writing.flatMap((request) => request.hardState ?? []);
    if (
      ![this.storedHardState, ...asked].some((each) => each.term === hardState.term && each.vote === hardState.vote)
    ) {
      throw new Violation(
        property,
        `${this.actor} had stored term ${this.storedHardState.term} with vote ${this.storedHardState.vote}; ` +
          `it found ${hardState.term} with ${hardState.vote}`,
      );
    }
    const found = this.historyOf(tail);
    const kept = Math.min(this.stored.length, ...this.writing.map((request) => this.keptBy(request)));
    const last = this.stored[kept - 1];
    if (last !== undefined && found[kept - 1]?.checksum !== last.checksum) {
      throw new Violation(
        property,
        `${this.actor} had stored record ${kept} of term ${last.term}; its log now ends at ${tail.index}`,
      );
    }
    const before = this.records.at(-1);
    const lost = before !== undefined && found[before.index - 1]?.checksum !== before.checksum;
    this.writing = [];
    this.storedHardState = hardState;
    this.stored = found;
    this.records = [...found];
    this.changedFrom = 1;
    return lost;
  }

  /** So many of the stored records outlive a write, done or not. */
  private keptBy({ snapshot, truncateAfter }: PersistRequest): number {
    if (snapshot !== undefined) return sharedBy(this.stored, this.historyOf(snapshot.before));
    return truncateAfter ?? Number.POSITIVE_INFINITY;
  }

  /** The records that a log with this end holds, given up or not. */
  private historyOf(tail: { readonly index: LogIndex; readonly checksum: number }): LogRecord[] {
    const found: LogRecord[] = [];
    for (let { index, checksum } = tail; index > 0; index = logIndex(index - 1)) {
      const record = this.known.find(index, checksum);
      if (record === undefined)
        throw new Violation('no log holds what nobody wrote', `${this.actor} found record ${index}, unknown to all`);
      found[index - 1] = record;
      checksum = record.previousChecksum;
    }
    return found;
  }
}

/** The length of the history that two logs have in common. */
function sharedBy(one: readonly LogRecord[], other: readonly LogRecord[]): number {
  let shared = Math.min(one.length, other.length);
  while (shared > 0 && one[shared - 1]?.checksum !== other[shared - 1]?.checksum) shared--;
  return shared;
}
