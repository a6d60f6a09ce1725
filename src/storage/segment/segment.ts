import { join } from 'node:path';
import {
  advanced,
  assert,
  type Counter,
  FlotillaError,
  type GroupId,
  type LogIndex,
  logIndex,
  messageOf,
  type TimeBound,
} from '../../base/index.js';
import { follows, type LogRecord, type LogTail, openRecord, tailAfter } from '../../wire/index.js';
import { type Disk, removeDirectory } from '../disk/index.js';

import { type Indexable, type Pace, SegmentNamespaces } from '../namespace-index/index.js';
import {
  type ContentsSummary,
  type IndexRange,
  type MarkedRecords,
  rangeOfBytes,
  rangeOfCounter,
  rangeOfTime,
  SegmentContents,
} from './segment-contents.js';
import { type DatabaseSettings, SegmentDatabase } from './segment-database.js';
import {
  databasePath,
  readFooter,
  removeFooter,
  type SegmentHeader,
  segmentName,
  writeFooter,
  writeHeader,
} from './segment-files.js';

/** What is known of a sealed segment without its footer. */
type Sealed = Pick<ContentsSummary, 'tail' | 'bytes' | 'eventBytes'>;

/** A segment that was made ahead of time: an open LevelDB without a header, which does not count yet. */
export interface PreparedSegment {
  readonly sequence: number;
  readonly directory: string;
  readonly database: SegmentDatabase;
  readonly disk: Disk;
}

export async function prepareSegment(
  segmentsPath: string,
  sequence: number,
  settings: DatabaseSettings,
): Promise<PreparedSegment> {
  const { disk } = settings;
  const directory = join(segmentsPath, segmentName(sequence));
  await disk.makeDirectory(directory);
  const database = await SegmentDatabase.create(databasePath(directory), settings);
  await disk.syncDirectory(directory);
  await disk.syncDirectory(segmentsPath);
  return { sequence, directory, database, disk };
}

/** Something in a segment is not what was written there, or can't be read. */
export class SegmentDamage extends FlotillaError {
  readonly segment: Segment;

  constructor(segment: Segment, message: string, cause?: unknown) {
    super('DATA_LOSS', message, { cause });
    this.segment = segment;
  }
}

/** What stands before damage is given out; the next read then meets the damage at once. */
export function nothingBehind(records: readonly LogRecord[], error: unknown): [] {
  if (records.length > 0 && error instanceof SegmentDamage) return [];
  throw error;
}

/**
 * Consecutive records of one group's log, in a LevelDB of their own. The
 * youngest segment is open: it is written to, and what it holds is known from
 * reading it. The others are sealed: what they hold is known from their footer.
 */
export class Segment implements Indexable {
  readonly directory: string;
  readonly header: SegmentHeader;
  readonly namespaces: SegmentNamespaces;
  /** See `IndexedSegment`. */
  readonly runBytes: number;
  private readonly database: SegmentDatabase;
  private readonly disk: Disk;
  private state: { readonly kind: 'open'; readonly contents: SegmentContents } | ({ readonly kind: 'sealed' } & Sealed);

  private constructor(
    directory: string,
    header: SegmentHeader,
    database: SegmentDatabase,
    disk: Disk,
    state: Segment['state'],
  ) {
    this.directory = directory;
    this.header = header;
    this.database = database;
    this.disk = disk;
    this.state = state;
    this.runBytes = Math.max(
      database.segmentBytes / RUNS_PER_SEGMENT,
      Math.min(database.segmentBytes / 2, RUN_BYTES_MIN),
    );
    this.namespaces = new SegmentNamespaces(disk, directory, this);
  }

  /** Writes the header, from which on the segment counts. */
  static async begin(prepared: PreparedSegment, header: Omit<SegmentHeader, 'format' | 'sequence'>): Promise<Segment> {
    const { sequence, directory, database, disk } = prepared;
    const written = await writeHeader(disk, directory, { ...header, sequence });
    return new Segment(directory, written, database, disk, {
      kind: 'open',
      contents: SegmentContents.empty(header.before),
    });
  }

  static openExisting(directory: string, header: SegmentHeader, settings: DatabaseSettings): Segment {
    const database = new SegmentDatabase(databasePath(directory), settings, true);
    return new Segment(directory, header, database, settings.disk, {
      kind: 'open',
      contents: SegmentContents.empty(header.before),
    });
  }

  static sealedExisting(
    directory: string,
    header: SegmentHeader,
    footer: ContentsSummary,
    settings: DatabaseSettings,
  ): Segment {
    const database = new SegmentDatabase(databasePath(directory), settings, false);
    return new Segment(directory, header, database, settings.disk, { kind: 'sealed', ...sealedOf(footer) });
  }

  /** No record is added to it any more. */
  get isSealed(): boolean {
    return this.state.kind === 'sealed';
  }

  /** It is, or is about to be, no segment of the log any more; another may stand in its place. */
  get isRetired(): boolean {
    return this.database.isRetired;
  }

  get group(): GroupId {
    return this.header.group;
  }

  get before(): LogTail {
    return this.header.before;
  }

  get tail(): LogTail {
    return this.known.tail;
  }

  /** Bytes of records that were written to it. */
  get bytes(): number {
    return this.known.bytes;
  }

  /** Size of its records with events. */
  get eventBytes(): number {
    return this.known.eventBytes;
  }

  /** What an open segment holds. */
  summary(): ContentsSummary {
    return this.open().summary();
  }

  /**
   * One durable write: removes the records above `after`, then appends. `after`
   * is of this segment, or what stands before it. On failure nothing is known
   * of what became durable, and the segment must not be used again.
   */
  async write(after: LogTail, records: readonly LogRecord[]): Promise<void> {
    const contents = this.open();
    const last = contents.tail.index;
    const overwritten = after.index + records.length;
    await this.database.write(records, overwritten + 1, last);
    if (after.index < last) contents.truncate(after);
    for (const record of records) contents.add(record);
  }

  /**
   * Verified records `from`..`to` of this segment, as many as fit into `maxBytes` and stand before damage, at least
   * one.
   */
  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<LogRecord[]> {
    assert(
      from > this.before.index && from <= to && to <= this.tail.index,
      `records ${from}..${to} are not of ${this.directory}`,
    );
    const records: LogRecord[] = [];
    try {
      for (let bytes = 0, next = from; next <= to && bytes < maxBytes; ) {
        for (const value of await this.fetch(next, to, maxBytes - bytes)) {
          const record = this.verify(next, value, records.at(-1));
          bytes += value.byteLength;
          if (bytes > maxBytes && records.length > 0) return records;
          records.push(record);
          next = logIndex(next + 1);
        }
      }
    } catch (error) {
      return [...records, ...nothingBehind(records, error)];
    }
    return records;
  }

  /** Index of the events record that holds `counter`; undefined where it is not of this segment. */
  async indexOfCounter(counter: Counter): Promise<LogIndex | undefined> {
    const around = rangeOfCounter(await this.landmarks(), counter);
    return this.search(
      around,
      (record) => counter >= record.firstCounter && counter < record.firstCounter + record.eventCount,
    );
  }

  /** Index of the first record at or behind a time; undefined where it is not of this segment. */
  async indexOfTime(isLate: TimeBound): Promise<LogIndex | undefined> {
    const around = rangeOfTime(await this.landmarks(), isLate);
    return this.search(around, isLate);
  }

  /**
   * Index of the first record before which at least so many bytes of this segment's records with events stand; else the
   * one after its last.
   */
  async indexAfterBytes(bytes: number): Promise<LogIndex> {
    const around = rangeOfBytes(await this.landmarks(), bytes);
    let before = around?.eventBytes ?? 0;
    const found = await this.search(around, (record) => {
      const isFar = before >= bytes;
      if (record.kind === 'events') before += record.bytes.byteLength;
      return isFar;
    });
    return found ?? logIndex(this.tail.index + 1);
  }

  private async search(
    range: IndexRange | undefined,
    isSought: (record: LogRecord) => boolean,
  ): Promise<LogIndex | undefined> {
    if (range === undefined) return undefined;
    for (let { from } = range; from <= range.to; ) {
      const records = await this.read(from, range.to, SEARCH_BYTES);
      const found = records.find(isSought);
      if (found !== undefined) return found.index;
      from = advanced(from, logIndex(from + records.length), 'a search in a segment');
    }
    return undefined;
  }

  /**
   * Reads everything in an open segment and believes only an unbroken chain
   * that begins at the header. Throws DATA_LOSS at the first thing that is not.
   */
  async scan(visit: (record: LogRecord) => void): Promise<void> {
    const contents = this.open();
    await this.guard(() =>
      this.database.scan((entries) => {
        for (const { index, bytes } of entries) {
          const expected = logIndex(contents.tail.index + 1);
          if (index !== expected) throw this.damage(expected, `it is missing; the next one there is ${index}`);
          const record = this.verifyEnvelope(expected, bytes);
          if (!follows(contents.tail, record)) throw this.damage(expected, 'it does not continue the record before it');
          contents.add(record);
          visit(record);
        }
      }),
    );
  }

  /** Makes the namespace index of a sealed segment where it is missing. */
  async ensureIndex(pace: Pace): Promise<void> {
    if (!this.isSealed) return;
    await this.namespaces.ensure(pace);
    await this.database.rest();
  }

  /** Writes the footer and stops taking records. */
  async seal(): Promise<void> {
    const contents = this.open();
    await writeFooter(this.disk, this.directory, contents.summary());
    this.state = { kind: 'sealed', ...sealedOf(contents) };
    this.database.unpin();
  }

  /**
   * Turns the write-ahead log of a sealed segment into a table and closes LevelDB until the next read. Otherwise the
   * first reader would wait for that, half a second for 64 MiB, and hold all of it in memory a second time.
   */
  async settle(): Promise<void> {
    await this.guard(() => this.database.settle());
  }

  /** The youngest again, after those behind it were truncated. */
  async unseal(): Promise<void> {
    if (this.state.kind === 'open') return;
    const footer = await this.footer();
    await removeFooter(this.disk, this.directory);
    this.state = { kind: 'open', contents: SegmentContents.of(footer) };
    this.database.pin();
    // Last: of a segment that still looks sealed another index could be begun, from records that are about to go.
    await this.namespaces.remove();
  }

  /** Opens LevelDB before a reader needs it: recovering a segment that was never read takes half a second. */
  async warm(): Promise<void> {
    await this.guard(() => this.database.warm());
  }

  async close(): Promise<void> {
    await Promise.all([this.namespaces.retire(), this.database.close()]);
  }

  /** Its directory is about to go, or the log is closed: waits for its readers, and refuses new ones. */
  async retire(): Promise<void> {
    await Promise.all([this.namespaces.retire(), this.database.retire()]);
  }

  /** Removes the directory, durably, after its readers have finished. */
  async remove(): Promise<void> {
    await this.retire();
    await removeDirectory(this.disk, this.directory);
  }

  private get known(): Sealed {
    return this.state.kind === 'open' ? this.state.contents : this.state;
  }

  private open(): SegmentContents {
    assert(this.state.kind === 'open', `${this.directory} is sealed`);
    return this.state.contents;
  }

  private async footer(): Promise<ContentsSummary> {
    const footer = await this.guard(() => readFooter(this.disk, this.directory));
    if (footer === undefined)
      throw new SegmentDamage(this, `group ${this.group}: the footer of ${this.directory} is gone`);
    return footer;
  }

  private async landmarks(): Promise<MarkedRecords> {
    return this.state.kind === 'open' ? this.state.contents : await this.footer();
  }

  private async fetch(from: LogIndex, to: LogIndex, maxBytes: number): Promise<Uint8Array[]> {
    const values = await this.guard(() => this.database.read(from, to, maxBytes)).catch((error: unknown) => {
      // LevelDB reads ahead: what is damaged may stand behind a record that is sound.
      if (from === to || !(error instanceof SegmentDamage)) throw error;
      return this.guard(() => this.database.read(from, from, maxBytes));
    });
    if (values.length === 0) throw this.damage(from, 'it is missing');
    return values;
  }

  private verify(index: LogIndex, bytes: Uint8Array, before: LogRecord | undefined): LogRecord {
    const record = this.verifyEnvelope(index, bytes);
    const tail = before === undefined ? this.knownTailBefore(index) : tailAfter(before);
    if (tail !== undefined && !follows(tail, record))
      throw this.damage(index, 'it does not continue the record before it');
    return record;
  }

  private knownTailBefore(index: LogIndex): LogTail | undefined {
    return index === this.before.index + 1 ? this.before : undefined;
  }

  private verifyEnvelope(index: LogIndex, bytes: Uint8Array): LogRecord {
    const record = this.openEnvelope(index, bytes);
    if (record.index !== index) throw this.damage(index, `record ${record.index} stands in its place`);
    return record;
  }

  private openEnvelope(index: LogIndex, bytes: Uint8Array): LogRecord {
    try {
      return openRecord(bytes);
    } catch (error) {
      if (error instanceof FlotillaError && error.code !== 'DATA_LOSS') throw error;
      throw this.damage(index, messageOf(error), error);
    }
  }

  /** LevelDB says in its own words that it can't read. */
  private async guard<Result>(action: () => Promise<Result>): Promise<Result> {
    try {
      return await action();
    } catch (error) {
      if (error instanceof SegmentDamage || (error instanceof FlotillaError && error.code !== 'DATA_LOSS')) throw error;
      throw new SegmentDamage(this, `group ${this.group}: ${this.directory} can't be read: ${messageOf(error)}`, error);
    }
  }

  private damage(index: LogIndex, what: string, cause?: unknown): SegmentDamage {
    return new SegmentDamage(this, `group ${this.group}: record ${index} in ${this.directory}: ${what}`, cause);
  }
}

/** What is sorted by namespace at a time is held in memory; each run costs a reader a read. */
const RUNS_PER_SEGMENT = 8;
const RUN_BYTES_MIN = 4 * 1024 * 1024;

/** Leaves the lists out, which for many segments would fill the memory. */
function sealedOf({ tail, bytes, eventBytes }: Sealed): Sealed {
  return { tail, bytes, eventBytes };
}

/** A search reads this much at a time: what lies between two landmarks fits, unless one record is larger. */
const SEARCH_BYTES = 128 * 1024;
