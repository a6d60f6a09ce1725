import {
  assert,
  type Counter,
  FlotillaError,
  LIMITS,
  type LogIndex,
  logIndex,
  type TimeBound,
} from '../../base/index.js';
import type { Glob } from '../../event/index.js';
import type { Clock, IndexedState, RecoveredGroup, Timer } from '../../group/index.js';
import type { HardState } from '../../raft/index.js';
import type { GlobSearch, NamespaceRange, NamespaceTable, StreamLog, Turns } from '../../stream/index.js';
import type { Checkpoint, LogRecord, LogTail } from '../../wire/index.js';
import type { Marker, MarkerFile, SegmentedLog } from '../log/index.js';
import type { DatabaseSettings } from '../segment/index.js';
import type { HardStateFile } from './hard-state-file.js';

/** Everything that one write does to one group. */
export interface GroupWrite {
  /** Remove every record above this index first. */
  readonly truncateAfter: LogIndex | undefined;
  readonly records: readonly LogRecord[];
  readonly hardState: HardState | undefined;
  /** Replace the log by an empty one that builds on this first. */
  readonly snapshot: Checkpoint | undefined;
  /** Give up the records up to this one at last. */
  readonly cutThrough: LogIndex | undefined;
  /** Checkpoints of segments in the log as it was before this write. */
  readonly checkpoints: readonly IndexedState[];
}

/**
 * One group on disk: its hard state, its log and the marker that watches over
 * it. One write at a time; reads go on beside it.
 */
export class GroupStore implements StreamLog {
  readonly recovered: RecoveredGroup;
  private readonly hardState: HardStateFile;
  private readonly marker: MarkerFile;
  private readonly log: SegmentedLog;
  private readonly clock: Clock;
  private readonly indexer: DatabaseSettings['indexer'];
  private readonly onFailure: (error: unknown) => void;
  private committed: LogIndex;
  /** The log begins after this record. */
  private begin: LogIndex;
  /** Set while notes of the marker wait for their fsync. */
  private markerTimer: Timer | undefined;
  private markerSync: Promise<void> = Promise.resolve();

  constructor(
    files: { recovered: RecoveredGroup; hardState: HardStateFile; marker: MarkerFile; log: SegmentedLog },
    { clock, indexer, onFailure }: Pick<DatabaseSettings, 'clock' | 'indexer' | 'onFailure'>,
  ) {
    this.recovered = files.recovered;
    this.hardState = files.hardState;
    this.marker = files.marker;
    this.log = files.log;
    this.clock = clock;
    this.indexer = indexer;
    this.onFailure = onFailure;
    this.committed = files.recovered.commitIndex;
    this.begin = files.recovered.begin.index;
  }

  /** Nothing was ever written to it. */
  get untouched(): boolean {
    return this.log.tail.index === 0 && this.hardState.current.term === 0;
  }

  /**
   * Resolves when everything is durable. The order is what a crash may find:
   *
   * 1. the lowered marker, before anything that it vouches for is removed;
   * 2. the hard state, because a log with a later term than its hard state is
   *    damage, while a term or a vote ahead of the log is harmless;
   * 3. checkpoints, of what was committed before this write;
   * 4. the log: a snapshot in place of it (see segment-swap.ts), then records;
   * 5. the marker, noted before the callers hear of it: an fsync of its own for
   *    each write would double their number, and the disk is what producers
   *    wait for. It has one soon after, for all notes since the last;
   * 6. the log's begin, in the marker before the segments below it go.
   */
  async write({ snapshot, truncateAfter, records, hardState, cutThrough, checkpoints }: GroupWrite): Promise<void> {
    const truncated =
      truncateAfter !== undefined && truncateAfter < this.log.tail.index
        ? await this.lowerMarker(truncateAfter)
        : undefined;
    if (hardState !== undefined) await this.hardState.write(hardState);
    for (const checkpoint of checkpoints) await this.log.checkpoints.add(checkpoint);
    if (snapshot !== undefined) await this.replaceLog(snapshot);
    if (truncated !== undefined || records.length > 0) await this.writeLog(truncated, records);
    if (cutThrough !== undefined && cutThrough > this.begin) await this.cut(cutThrough);
  }

  private async writeLog(truncated: LogTail | undefined, records: readonly LogRecord[]): Promise<void> {
    const last = records.at(-1);
    assert(
      last === undefined || last.term <= this.hardState.current.term,
      `record ${last?.index} has a later term than the hard state`,
    );
    await (truncated === undefined ? this.log.append(records) : this.log.truncate(truncated, records));
    this.marker.note(this.markerAt(this.log.tail));
    this.planMarkerSync();
  }

  private async replaceLog(checkpoint: Checkpoint): Promise<void> {
    const { before, incarnation } = checkpoint;
    assert(
      before.index > this.committed,
      `a snapshot of ${before.index} can't replace what is committed, up to ${this.committed}`,
    );
    assert(
      before.term <= this.hardState.current.term,
      `the snapshot of ${before.index} has a later term than the hard state`,
    );
    if (incarnation !== this.recovered.incarnation) {
      throw new FlotillaError(
        'FOREIGN_NODE',
        `the leader's log has the incarnation ${incarnation}, this node's ${this.recovered.incarnation}`,
      );
    }
    await this.log.stage(checkpoint);
    await this.markerSync;
    await this.marker.lower({ ...this.markerAt(before), commitIndex: before.index, beginIndex: before.index });
    await this.log.swap(checkpoint);
    // Not before: what the old log holds behind what was committed in it may be another history, and readers would be
    // given that.
    this.committed = before.index;
    this.begin = before.index;
  }

  private async cut(through: LogIndex): Promise<void> {
    assert(through <= this.committed, `record ${through} is not known to be committed and can't be given up`);
    this.begin = through;
    await this.markerSync;
    await this.marker.lower(this.markerAt(this.log.tail));
    await this.log.cut(through);
  }

  /** What a write leaves to do once its callers have been answered. */
  async settle(): Promise<void> {
    await this.log.rollIfFull();
  }

  read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<LogRecord[]> {
    return this.log.read(from, to, maxBytes);
  }

  sealedRanges(): ReturnType<SegmentedLog['sealedRanges']> {
    return this.log.sealedRanges();
  }

  /** See `ScrubbedLog.verifyIndex`. */
  async verifyIndex(from: LogIndex, to: LogIndex): Promise<void> {
    await this.log.inSealed(from, to, async (segment) => {
      await segment.namespaces.verify();
      if (segment.namespaces.isMissing) this.indexer?.want(segment);
      return undefined;
    });
  }

  indexOfCounter(counter: Counter): Promise<LogIndex | undefined> {
    return this.log.indexOfCounter(counter);
  }

  indexOfTime(isLate: TimeBound): Promise<LogIndex | undefined> {
    return this.log.indexOfTime(isLate);
  }

  cutPoint(index: LogIndex): LogIndex {
    return this.log.checkpoints.cutPoint(index);
  }

  checkpointAt(index: LogIndex): Promise<Checkpoint> {
    return this.log.checkpoints.at(index);
  }

  search(glob: Glob, turns?: Turns): GlobSearch {
    const search = this.log.search(glob, turns);
    return { next: (from, through) => search.next(from, logIndex(Math.min(through, this.committed))) };
  }

  checkpointDue(from: LogIndex): LogIndex | undefined {
    return this.log.checkpoints.due(from);
  }

  indexOfBytes(maxBytes: number): Promise<LogIndex | undefined> {
    return this.log.indexOfBytes(maxBytes);
  }

  get storedBytes(): number {
    return this.log.bytes;
  }

  namespaces(from: LogIndex, through: LogIndex, names: NamespaceRange): Promise<NamespaceTable | undefined> {
    return this.log.namespaces(from, logIndex(Math.min(through, this.committed)), names);
  }

  noteCommitted(index: LogIndex): void {
    if (index > this.committed) this.committed = index;
  }

  /** `intact`: no write has failed, so what is noted last is true. */
  async close(intact: boolean): Promise<void> {
    this.markerTimer?.cancel();
    await this.markerSync;
    try {
      if (intact) await this.marker.advance(this.markerAt(this.log.tail));
    } finally {
      await Promise.all([this.hardState.close(), this.marker.close(), this.log.close()]);
    }
  }

  private async lowerMarker(truncateAfter: LogIndex): Promise<LogTail> {
    assert(
      truncateAfter >= this.committed,
      `record ${truncateAfter + 1} is committed (up to ${this.committed}) and was to be truncated`,
    );
    const tail = await this.log.tailAt(truncateAfter);
    await this.markerSync;
    await this.marker.lower(this.markerAt(tail));
    return tail;
  }

  private planMarkerSync(): void {
    this.markerTimer ??= this.clock.after(LIMITS.markerSyncMs, () => {
      this.markerTimer = undefined;
      this.markerSync = this.syncMarker();
    });
  }

  /** Never rejects: a failed fsync stops the node. */
  private async syncMarker(): Promise<void> {
    try {
      await this.marker.sync();
    } catch (error) {
      this.onFailure(error);
      return;
    }
    if (!this.marker.isSynced) this.planMarkerSync();
  }

  private markerAt({ index, term, checksum }: LogTail): Marker {
    const commitIndex = logIndex(Math.min(this.committed, index));
    return { index, term, checksum, commitIndex, beginIndex: this.begin, lastSequence: this.log.lastSequence };
  }
}
