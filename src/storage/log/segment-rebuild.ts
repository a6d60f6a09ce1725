import { basename, dirname, join } from 'node:path';
import { FlotillaError, LIMITS, type LogIndex, logIndex } from '../../base/index.js';
import type { RecordSource } from '../../group/index.js';
import { follows, type LogRecord, type LogTail, tailAfter } from '../../wire/index.js';
import { type Disk, isRemoved, removedPath, replaceFile } from '../disk/index.js';
import {
  checkpointPath,
  type DatabaseSettings,
  headerPath,
  prepareSegment,
  Segment,
  segmentSequenceOf,
} from '../segment/index.js';

/*
 * A damaged sealed segment is built anew beside the old one, from the records
 * in it that are sound and from those that other nodes have. Every record must
 * continue the one before it, from the header of the old segment to the end that
 * its footer names: the checksums are chained, so it can only be the very same
 * log. The header itself, which the start has verified, is copied, and so is the
 * checkpoint beside it: that of the log's begin can't be made again.
 *
 * 1. the new segment is made in `segments-rebuilding/`, durably, and closed; the
 *    checkpoint, which may have been written meanwhile, comes last;
 * 2. that directory becomes `segments-rebuilt/`: from here on what is in it is whole;
 * 3. the old segment gets a name that begins with `removed-`;
 * 4. the new one takes its place in `segments/`;
 * 5. what is left of the old one goes.
 *
 * A start removes `segments-rebuilding/`. What was whole takes its place where
 * the old one is gone (a crash between 3 and 4), and else goes, too: the damage
 * is found again.
 */

const rebuildingPath = (segmentsPath: string): string => join(dirname(segmentsPath), 'segments-rebuilding');
const rebuiltPath = (segmentsPath: string): string => join(dirname(segmentsPath), 'segments-rebuilt');

export interface RebuildOptions {
  readonly segmentsPath: string;
  readonly settings: DatabaseSettings;
  /** Undefined where no other node has the log. */
  readonly source: RecordSource | undefined;
  /** Whether what is begun is of use no more. */
  readonly isObsolete: () => boolean;
}

/**
 * Step 1, but for what is copied. Resolves with how many records came from other nodes; DATA_LOSS where no node has one
 * that is needed.
 */
export async function rebuildSegment(damaged: Segment, options: RebuildOptions): Promise<number> {
  const { segmentsPath, settings } = options;
  const { disk } = settings;
  const rebuilding = rebuildingPath(segmentsPath);
  await disk.remove(rebuilding);
  await disk.remove(rebuiltPath(segmentsPath));
  await disk.makeDirectory(rebuilding);
  const segment = await Segment.begin(
    await prepareSegment(rebuilding, damaged.header.sequence, settings),
    damaged.header,
  );
  let fetched: number;
  try {
    fetched = await copyRecords(damaged, segment, options);
    await segment.seal();
  } finally {
    // LevelDB keeps the path that it was opened with: it must not be open while the directory gets its name.
    await segment.close();
  }
  return fetched;
}

/**
 * The rest of step 1, and steps 2 to 5. Nothing of the old segment may be open, and nothing else be removed from the
 * log meanwhile.
 */
export async function replaceSegment(segmentsPath: string, name: string, disk: Disk): Promise<void> {
  for (const pathIn of [headerPath, checkpointPath]) {
    const content = await disk.readFile(pathIn(join(segmentsPath, name)));
    if (content !== undefined) await replaceFile(disk, pathIn(join(rebuildingPath(segmentsPath), name)), content);
  }
  await disk.rename(rebuildingPath(segmentsPath), rebuiltPath(segmentsPath));
  await disk.syncDirectory(dirname(segmentsPath));
  const old = removedPath(join(segmentsPath, name));
  await disk.remove(old);
  await disk.rename(join(segmentsPath, name), old);
  await disk.syncDirectory(segmentsPath);
  await takePlace(segmentsPath, name, disk);
  await disk.remove(old);
}

async function takePlace(segmentsPath: string, name: string, disk: Disk): Promise<void> {
  const rebuilt = rebuiltPath(segmentsPath);
  await disk.rename(join(rebuilt, name), join(segmentsPath, name));
  await disk.syncDirectory(segmentsPath);
  await disk.syncDirectory(rebuilt);
  await disk.remove(rebuilt);
}

/** Removes what was rebuilt and is of no use: the old segment was given up, or truncated, meanwhile. */
export async function discardRebuilt(segmentsPath: string, disk: Disk): Promise<void> {
  await disk.remove(rebuildingPath(segmentsPath));
  await disk.remove(rebuiltPath(segmentsPath));
}

/** Finishes or undoes what a crash interrupted. */
export async function recoverRebuild(segmentsPath: string, disk: Disk): Promise<void> {
  const parent = dirname(segmentsPath);
  const names = await disk.list(parent);
  const rebuilt = rebuiltPath(segmentsPath);
  if (names.includes(basename(rebuilt)) && names.includes('segments')) {
    const segments = await disk.list(segmentsPath);
    const whole = (await disk.list(rebuilt)).find((name) => segmentSequenceOf(name) !== undefined);
    const isAwaited =
      whole !== undefined &&
      !segments.includes(whole) &&
      segments.some((name) => isRemoved(name) && name.endsWith(whole));
    if (isAwaited) await takePlace(segmentsPath, whole, disk);
  }
  await discardRebuilt(segmentsPath, disk);
}

async function copyRecords(
  damaged: Segment,
  segment: Segment,
  { source, isObsolete }: RebuildOptions,
): Promise<number> {
  const end = damaged.tail;
  const requireWanted = (): void => {
    if (isObsolete()) throw new FlotillaError('CANCELLED', `${damaged.directory} is not needed any more`);
  };
  const reader = new SoundRecords(damaged, requireWanted);
  let fetched = 0;
  while (segment.tail.index < end.index) {
    const { tail } = segment;
    let records = await reader.after(tail);
    if (records.length === 0) {
      requireWanted();
      records = continuing(tail, (await source?.fetch(damaged.group, logIndex(tail.index + 1), end.index)) ?? []);
      fetched += records.length;
    }
    if (records.length === 0)
      throw new FlotillaError('DATA_LOSS', `no node that can be reached has record ${tail.index + 1}`);
    await segment.write(tail, records);
  }
  const { tail } = segment;
  if (tail.checksum !== end.checksum || tail.term !== end.term || tail.nextCounter !== end.nextCounter)
    throw new FlotillaError(
      'DATA_LOSS',
      `the rebuilt segment ends otherwise than its footer says, with record ${tail.index}`,
    );
  return fetched;
}

/** As far as each continues the one before it. */
function continuing(before: LogTail, records: readonly LogRecord[]): LogRecord[] {
  let tail = before;
  const broken = records.findIndex((record) => {
    if (!follows(tail, record)) return true;
    tail = tailAfter(record);
    return false;
  });
  return records.slice(0, broken === -1 ? records.length : broken);
}

/** Reads around damage: with each failure half as many records at once, and after each success twice as many. */
class SoundRecords {
  private readonly segment: Segment;
  /** Throws once the segment may hold other records, or none. */
  private readonly requireWanted: () => void;
  private count = LARGEST_READ;

  constructor(segment: Segment, requireWanted: () => void) {
    this.segment = segment;
    this.requireWanted = requireWanted;
  }

  /** Sound records that continue the log; none where the first one is damaged. */
  async after(tail: LogTail): Promise<LogRecord[]> {
    for (; this.count >= 1; this.count = Math.floor(this.count / 2)) {
      const records = continuing(tail, await this.tryRead(logIndex(tail.index + 1)));
      if (records.length === 0) continue;
      this.count = Math.min(LARGEST_READ, this.count * 2);
      return records;
    }
    this.count = 1;
    return [];
  }

  private async tryRead(from: LogIndex): Promise<LogRecord[]> {
    this.requireWanted();
    const to = logIndex(Math.min(from + this.count - 1, this.segment.tail.index));
    try {
      return await this.segment.read(from, to, LIMITS.readChunkBytes);
    } catch (error) {
      if (error instanceof FlotillaError && error.code === 'DATA_LOSS') return [];
      throw error;
    }
  }
}

const LARGEST_READ = 4096;
