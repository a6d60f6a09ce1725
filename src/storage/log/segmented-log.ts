import { join } from 'node:path';
import {
  assert,
  type Counter,
  FlotillaError,
  type GroupId,
  type LogIndex,
  logIndex,
  present,
  type TimeBound,
} from '../../base/index.js';
import type { Glob } from '../../event/index.js';
import { IndexedHistory } from '../../raft/index.js';
import { type NamespaceRange, type NamespaceTable, type Turns, UNDIVIDED } from '../../stream/index.js';
import {
  type Checkpoint,
  decodeMembership,
  follows,
  type LogRecord,
  type LogTail,
  type PlacedMembership,
  tailAfter,
} from '../../wire/index.js';
import {
  type DatabaseSettings,
  nothingBehind,
  type PreparedSegment,
  prepareSegment,
  readHeader,
  Segment,
  SegmentDamage,
  type SegmentHeader,
  segmentName,
} from '../segment/index.js';
import { IndexSearch } from './glob-search.js';
import { LogCheckpoints } from './log-checkpoints.js';
import { RemovalBarrier } from './removal-barrier.js';

import { SegmentDrops } from './segment-drops.js';
import { givenUp, SegmentList } from './segment-list.js';
import { SegmentRepairs } from './segment-repairs.js';
import { stageSegments, swapSegments } from './segment-swap.js';
import { machineOf } from './state-replay.js';

/** Which log it is; every segment's header says so. */
export interface LogIdentity {
  readonly group: GroupId;
  /** 32 hexadecimal digits. */
  readonly incarnation: string;
  /** The kind of state machine that the group runs. */
  readonly machine: string;
}

/** What recovery found and verified: at least one segment, the youngest of them open. */
export interface RecoveredSegments {
  readonly segments: readonly Segment[];
  readonly memberships: readonly PlacedMembership[];
  readonly lastSequence: number;
}

/**
 * One group's log: segments, oldest first, that continue one another without a
 * gap. Writing is one call at a time; reading may go on beside it.
 */
export class SegmentedLog {
  private readonly path: string;
  private readonly identity: LogIdentity;
  private readonly settings: DatabaseSettings;
  private readonly segments: SegmentList;
  /** The membership in force at the log's begin, and those that the log has set, ascending. */
  private readonly memberships: IndexedHistory<PlacedMembership>;
  private sequence: number;
  private prepared: Promise<PreparedSegment> | undefined;
  /**
   * The segment that was sealed last is being settled; one at a time, because each has its records in memory until
   * then.
   */
  private settling: Promise<void> = Promise.resolve();
  private readonly removals = new RemovalBarrier();
  private readonly drops: SegmentDrops;
  private readonly repairs: SegmentRepairs;
  readonly checkpoints: LogCheckpoints;

  constructor(path: string, identity: LogIdentity, recovered: RecoveredSegments, settings: DatabaseSettings) {
    this.path = path;
    this.identity = identity;
    this.settings = settings;
    this.segments = new SegmentList(recovered.segments);
    this.memberships = new IndexedHistory(recovered.memberships);
    this.sequence = recovered.lastSequence;
    for (const segment of this.segments.all) if (segment.isSealed) settings.indexer?.want(segment);
    this.drops = new SegmentDrops(settings.disk, settings.onFailure);
    const { segments, removals } = this;
    this.repairs = new SegmentRepairs({ segmentsPath: path, segments, removals, settings });
    this.checkpoints = new LogCheckpoints({
      segments,
      removals,
      disk: settings.disk,
      machine: machineOf(settings.machines, identity),
      read: this.read.bind(this),
    });
  }

  /** The end of what is durable. */
  get tail(): LogTail {
    return this.segments.youngest.tail;
  }

  /** The greatest segment sequence that was ever used. */
  get lastSequence(): number {
    return this.sequence;
  }

  /** What a log that ends at `index` ends with. */
  async tailAt(index: LogIndex): Promise<LogTail> {
    if (index === this.tail.index) return this.tail;
    const next = this.segments.all.find((segment) => segment.before.index === index);
    if (next !== undefined) return next.before;
    const [record] = await this.read(index, index, 1);
    return tailAfter(present(record, 'a read returns at least one record'));
  }

  /** Resolves when the records are durable. */
  async append(records: readonly LogRecord[]): Promise<void> {
    await this.writeTo(this.segments.youngest, this.tail, records);
  }

  /**
   * Removes every record above `after`, then appends. Newest first: whole
   * segments, then the footer of the one that becomes the youngest, then the
   * records in it. A crash at any point leaves a shorter log of the same
   * history, to which the caller has lowered the marker.
   */
  async truncate(after: LogTail, records: readonly LogRecord[]): Promise<void> {
    await this.removals.run(() => this.removeAbove(after, records));
  }

  /**
   * Gives up the segments before a cut point; the marker says already that the log begins there. They go from the disk
   * soon after.
   */
  async cut(through: LogIndex): Promise<void> {
    await this.removals.run(async () => {
      this.drops.begin(this.segments.cut(through));
      this.memberships.cutThrough(through);
    });
  }

  /** Makes an empty log that builds on the checkpoint durable beside this one; see segment-swap.ts. */
  async stage(checkpoint: Checkpoint): Promise<void> {
    this.sequence++;
    await stageSegments(this.path, this.identity, { sequence: this.sequence, checkpoint }, this.settings);
  }

  /** The staged log takes the place of this one. */
  async swap(checkpoint: Checkpoint): Promise<void> {
    await this.removals.run(async () => {
      const prepared = await this.prepared;
      this.prepared = undefined;
      await prepared?.database.close();
      await this.drops.finish();
      for (const segment of this.segments.all) await segment.retire();
      await swapSegments(this.path, this.settings.disk);
      const directory = join(this.path, segmentName(this.sequence));
      const header: SegmentHeader = present(
        await readHeader(this.settings.disk, directory, this.identity.group, this.sequence),
        'the staged segment has a header',
      );
      this.segments.replaceAll(Segment.openExisting(directory, header, this.settings));
      this.checkpoints.beginsAnew(checkpoint.before.index);
      this.memberships.replaceWith({ index: checkpoint.membershipIndex, membership: checkpoint.membership });
    });
  }

  /** Seals a full segment and begins the next one. Not in the path of a write: its callers have been answered. */
  async rollIfFull(): Promise<void> {
    const { bytes } = this.segments.youngest;
    const { segmentBytes } = this.settings;
    if (bytes >= segmentBytes / 2 && this.prepared === undefined) this.prepare();
    if (bytes < segmentBytes) return;
    const prepared = await present(this.prepared, 'the next segment is prepared when this one is half full');
    await this.settling;
    const full = this.segments.youngest;
    await full.seal();
    const inForce = this.memberships.latest;
    const next = await Segment.begin(prepared, {
      ...this.identity,
      before: full.tail,
      membership: inForce.membership,
      membershipIndex: inForce.index,
    });
    this.prepared = undefined;
    this.segments.push(next);
    this.settling = full.settle().then(
      () => this.settings.indexer?.want(full),
      (error: unknown) => this.settleFailed(full, error),
    );
  }

  /** See `GroupLog.read`. Empty where `from` was truncated while the call waited. */
  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<LogRecord[]> {
    this.settings.indexer?.noteUse();
    return this.mending(async () => {
      this.requireHeld(from);
      const last = Math.min(to, this.tail.index);
      const records: LogRecord[] = [];
      for (let bytes = 0, next = from; next <= last && bytes < maxBytes; ) {
        const segment = this.segments.holding(next);
        const part = await segment
          .read(next, logIndex(Math.min(last, segment.tail.index)), maxBytes - bytes)
          .catch((error: unknown) => nothingBehind(records, error));
        const size = part.reduce((sum, record) => sum + record.bytes.byteLength, 0);
        if (part.length === 0 || (records.length > 0 && bytes + size > maxBytes)) break;
        records.push(...part);
        bytes += size;
        next = logIndex(next + part.length);
        this.warmAfter(segment, next);
      }
      return records;
    });
  }

  /** Opens the LevelDB of the segment behind this one, for a reader that will soon be there. */
  warmFollowing(segment: Segment): void {
    const following = this.repairs.isClosed ? undefined : this.segments.following(segment);
    // A read of it meets the failure again, and reports it.
    following?.warm().catch(() => undefined);
  }

  search(glob: Glob, turns: Turns = UNDIVIDED): IndexSearch {
    return new IndexSearch(this, glob, { indexer: this.settings.indexer, turns });
  }

  /** See `GroupLog.namespaces`: those of a whole sealed segment. */
  async namespaces(from: LogIndex, through: LogIndex, names: NamespaceRange): Promise<NamespaceTable | undefined> {
    return this.inSealed(from, through, async (segment) => {
      if (from !== segment.before.index + 1) return undefined;
      const rows = await segment.namespaces.rows(names);
      if (rows === undefined) this.settings.indexer?.want(segment);
      return rows && { rows, through: segment.tail.index };
    });
  }

  /**
   * Runs `action` on the segment that holds `from`; undefined unless that is sealed, with nothing in it behind
   * `through`. A record that is not stored yet is in no segment: between a seal and the next header the youngest is a
   * sealed one, and knows nothing of what will follow.
   */
  async inSealed<Result>(
    from: LogIndex,
    through: LogIndex,
    action: (segment: Segment) => Promise<Result | undefined>,
  ): Promise<Result | undefined> {
    return this.mending(async () => {
      this.requireHeld(from);
      const segment = this.segments.holding(from);
      const isInSealed = segment.isSealed && from <= segment.tail.index;
      return isInSealed && segment.tail.index <= through ? action(segment) : undefined;
    });
  }

  /** See `GroupLog.indexOfCounter`. */
  async indexOfCounter(counter: Counter): Promise<LogIndex | undefined> {
    return this.mending(async () => {
      if (counter >= this.tail.nextCounter) return undefined;
      return this.segments.lastWhere(({ before }) => before.nextCounter <= counter)?.indexOfCounter(counter);
    });
  }

  /** See `GroupLog.indexOfTime`. */
  async indexOfTime(isLate: TimeBound): Promise<LogIndex | undefined> {
    return this.mending(async () => {
      const { tail } = this;
      const first = this.segments.oldest.before;
      if (!isLate(tail) || tail.index === first.index) return undefined;
      if (isLate(first)) return logIndex(first.index + 1);
      return this.segments.lastWhere(({ before }) => !isLate(before))?.indexOfTime(isLate);
    });
  }

  /** See `GroupLog.indexOfBytes`. */
  async indexOfBytes(maxBytes: number): Promise<LogIndex | undefined> {
    return this.mending(async () => {
      let fit = maxBytes;
      for (const segment of this.segments.all.toReversed()) {
        if (segment.eventBytes > fit) return await segment.indexAfterBytes(segment.eventBytes - fit);
        fit -= segment.eventBytes;
      }
      return undefined;
    });
  }

  /** Bytes of the records in all segments. */
  get bytes(): number {
    return this.segments.all.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** First and last index of each sealed segment, oldest first. */
  sealedRanges(): { readonly from: LogIndex; readonly to: LogIndex }[] {
    const sealed = this.segments.all.filter(({ isSealed }) => isSealed);
    return sealed.map(({ before, tail }) => ({ from: logIndex(before.index + 1), to: tail.index }));
  }

  async close(): Promise<void> {
    await this.repairs.close();
    // Where preparing failed, that has been reported when it did.
    const prepared = await this.prepared?.catch(() => undefined);
    await this.settling;
    await this.drops.finish();
    await Promise.all([prepared?.database.close(), ...this.segments.all.map((segment) => segment.retire())]);
  }

  private async writeTo(segment: Segment, after: LogTail, records: readonly LogRecord[]): Promise<void> {
    let tail = after;
    for (const record of records) {
      assert(
        follows(tail, record),
        `record ${record.index} does not follow record ${tail.index} of group ${this.identity.group}`,
      );
      tail = tailAfter(record);
    }
    await segment.write(after, records);
    for (const { kind, index, payload } of records) {
      if (kind === 'configuration') this.memberships.append({ index, membership: decodeMembership(payload) });
    }
  }

  private async removeAbove(after: LogTail, records: readonly LogRecord[]): Promise<void> {
    while (this.segments.youngest.before.index > after.index) {
      await this.segments.pop().remove();
    }
    this.memberships.truncateAfter(after.index);
    const youngest = this.segments.youngest;
    await youngest.unseal();
    await this.writeTo(youngest, after, records);
  }

  /** A segment that was removed or replaced meanwhile needs it no more. */
  private settleFailed(segment: Segment, error: unknown): void {
    if (!segment.isRetired) this.settings.onFailure(error);
  }

  private prepare(): void {
    this.sequence++;
    this.prepared = prepareSegment(this.path, this.sequence, this.settings);
    this.prepared.catch(this.settings.onFailure);
  }

  /** A reader that has passed the middle of a sealed segment will want the next one soon. */
  private warmAfter(segment: Segment, next: LogIndex): void {
    const middle = (segment.before.index + segment.tail.index) / 2;
    if (next >= middle) this.warmFollowing(segment);
  }

  private requireHeld(index: LogIndex): void {
    const { before } = this.segments.oldest;
    if (index <= before.index) throw givenUp(index, before);
  }

  /** Damage that is met is repaired, if it can be. */
  private async mending<Result>(action: () => Promise<Result>): Promise<Result> {
    for (;;) {
      if (this.repairs.isClosed) throw new FlotillaError('SHUTTING_DOWN', 'the storage is closed');
      try {
        return await this.removals.beside(action);
      } catch (error) {
        if (!(error instanceof SegmentDamage)) throw error;
        await this.repairs.mend(error);
      }
    }
  }
}
