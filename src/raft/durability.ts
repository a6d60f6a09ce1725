import { type ActorId, assert, type LogIndex, logIndex } from '../base/index.js';
import type { Message } from './messages.js';
import type { HardState } from './types.js';

/**
 * One write for the storage: the hard state, then the snapshot, then truncate, then append, and all of it on disk
 * before it counts.
 */
export interface PersistStep {
  /** The log is replaced by the snapshot that ends with this entry; there is no truncation then. */
  readonly snapshotIndex: LogIndex | undefined;
  /** Remove every stored entry above this index first. */
  readonly truncateAfter: LogIndex | undefined;
  /** Entries to append: the first … */
  readonly fromIndex: LogIndex;
  /** … and the last; none where it is `fromIndex` - 1. */
  readonly throughIndex: LogIndex;
  readonly hardState: HardState | undefined;
}

export interface Outbound {
  readonly to: ActorId;
  readonly message: Message;
}

/**
 * Knows what is on disk and what is still on its way there, and holds back each
 * message until the term and vote that it speaks of are durable (dissertation,
 * section 3.8: a server that forgets its vote may give a second one).
 */
export class Durability {
  /** Entries up to here are on disk, in this very history. */
  durableIndex: LogIndex;
  /** Entries up to here are on disk or in the step under way. */
  private handedOutIndex: LogIndex;
  private truncateAfter: LogIndex | undefined;
  private snapshotIndex: LogIndex | undefined;
  /** Versions of the hard state: as it is now, in the last step handed out, and on disk. */
  private version = 0;
  private handedOutVersion = 0;
  private durableVersion = 0;
  private held: { readonly version: number; readonly outbound: Outbound }[] = [];
  private stepUnderWay: PersistStep | undefined;

  constructor(lastIndex: LogIndex) {
    this.durableIndex = lastIndex;
    this.handedOutIndex = lastIndex;
  }

  get hardStateIsDurable(): boolean {
    return this.durableVersion === this.version;
  }

  hardStateChanged(): void {
    this.version++;
  }

  truncatedAfter(index: LogIndex): void {
    if (index >= this.handedOutIndex) return;
    this.truncateAfter = index;
    this.handedOutIndex = index;
    if (this.durableIndex > index) this.durableIndex = index;
  }

  /** A snapshot takes the log's place. Only what is committed, of all that is on disk, is of the same history. */
  replacedBy(snapshotIndex: LogIndex, commitIndex: LogIndex): void {
    this.snapshotIndex = snapshotIndex;
    this.truncateAfter = undefined;
    this.handedOutIndex = snapshotIndex;
    if (this.durableIndex > commitIndex) this.durableIndex = commitIndex;
  }

  /**
   * The next write, or none where nothing is to be written or one is under way: what comes meanwhile goes together into
   * the next.
   */
  takeStep(lastIndex: LogIndex, hardState: HardState): PersistStep | undefined {
    if (this.stepUnderWay !== undefined) return undefined;
    const hardStateChanged = this.handedOutVersion !== this.version;
    const logChanged =
      lastIndex !== this.handedOutIndex || this.truncateAfter !== undefined || this.snapshotIndex !== undefined;
    if (!logChanged && !hardStateChanged) return undefined;
    this.stepUnderWay = {
      snapshotIndex: this.snapshotIndex,
      truncateAfter: this.truncateAfter,
      fromIndex: logIndex(this.handedOutIndex + 1),
      throughIndex: lastIndex,
      hardState: hardStateChanged ? hardState : undefined,
    };
    this.truncateAfter = undefined;
    this.snapshotIndex = undefined;
    this.handedOutIndex = lastIndex;
    this.handedOutVersion = this.version;
    return this.stepUnderWay;
  }

  stepCompleted(step: PersistStep): void {
    assert(step === this.stepUnderWay, 'writes complete in the order in which they were handed out');
    this.stepUnderWay = undefined;
    this.durableVersion = this.handedOutVersion;
    // A snapshot decided meanwhile replaces all of it.
    if (this.snapshotIndex !== undefined) return;
    // A truncation decided meanwhile lies below; what it cuts must not count.
    this.durableIndex = logIndex(Math.min(step.throughIndex, this.handedOutIndex));
  }

  /** Gives the message back at once where it may leave now, else keeps it until {@link release}. */
  hold(outbound: Outbound): Outbound | undefined {
    if (this.hardStateIsDurable) return outbound;
    this.held.push({ version: this.version, outbound });
    return undefined;
  }

  /** The messages that may leave by now, oldest first. */
  release(): Outbound[] {
    const free = this.held.filter(({ version }) => version <= this.durableVersion);
    if (free.length > 0) this.held = this.held.filter(({ version }) => version > this.durableVersion);
    return free.map(({ outbound }) => outbound);
  }
}
