import { join } from 'node:path';
import { FlotillaError, type GroupId, type LogIndex, present, type Term } from '../../base/index.js';
import type { TermStart } from '../../raft/index.js';
import type { LogRecord, LogTail, PlacedMembership } from '../../wire/index.js';
import { type Disk, isRemoved, removeDirectory } from '../disk/index.js';
import {
  type ContentsSummary,
  type DatabaseSettings,
  databasePath,
  readFooter,
  readHeader,
  removeFooter,
  Segment,
  type SegmentHeader,
  segmentName,
  segmentSequenceOf,
} from '../segment/index.js';
import type { Marker } from './marker-file.js';
import { machineOf } from './state-replay.js';

/** A log as it was found: verified as far as a start needs it. */
export interface RecoveredLog {
  /** Oldest first; the youngest is open. */
  readonly segments: readonly Segment[];
  readonly incarnation: string;
  /** The kind of state machine that the group runs. */
  readonly machine: string;
  readonly begin: LogTail;
  readonly tail: LogTail;
  readonly termStarts: readonly TermStart[];
  readonly memberships: readonly PlacedMembership[];
  readonly lastSequence: number;
}

interface FoundSegment {
  readonly directory: string;
  readonly header: SegmentHeader;
}

/**
 * Opens a group's segments. The open one is read whole; of the sealed ones only
 * headers and footers are read, each of which must continue the one before it.
 * Throws DATA_LOSS where anything is missing or is not what was written: a log
 * with a hole or a forgotten end must not vote.
 */
export async function recoverLog(
  segmentsPath: string,
  group: GroupId,
  marker: Marker,
  settings: DatabaseSettings,
): Promise<RecoveredLog> {
  const { disk } = settings;
  const found = await findSegments(disk, segmentsPath, group, marker.beginIndex);
  const oldest = present(found.segments[0], 'there is at least one segment');
  // Nothing is open yet.
  machineOf(settings.machines, oldest.header);
  const { before: begin, incarnation, machine, membership, membershipIndex } = oldest.header;
  if (begin.index !== marker.beginIndex) {
    throw new FlotillaError(
      'DATA_LOSS',
      `group ${group}: the log begins after record ${begin.index} and should after record ${marker.beginIndex}: ` +
        `${oldest.directory} is not its first segment`,
    );
  }
  const segments: Segment[] = [];
  const termStarts: TermStart[] = [];
  const memberships: PlacedMembership[] = [{ index: membershipIndex, membership }];
  let tail = begin;
  try {
    for (const [position, { directory, header }] of found.segments.entries()) {
      requireContinuation(tail, directory, header, oldest.header);
      const youngest = position === found.segments.length - 1;
      const { segment, summary } = youngest
        ? await openYoungest(directory, header, marker, settings)
        : await openSealed(directory, header, settings);
      segments.push(segment);
      termStarts.push(...summary.termStarts);
      memberships.push(...summary.memberships);
      tail = summary.tail;
    }
    await requireMarked(marker, begin, segments, group, segmentsPath);
  } catch (error) {
    await Promise.allSettled(segments.map((segment) => segment.close()));
    throw error;
  }
  return {
    segments,
    incarnation,
    machine,
    begin,
    tail,
    termStarts,
    memberships,
    lastSequence: Math.max(found.lastSequence, marker.lastSequence),
  };
}

async function findSegments(
  disk: Disk,
  segmentsPath: string,
  group: GroupId,
  beginIndex: LogIndex,
): Promise<{ segments: FoundSegment[]; lastSequence: number }> {
  const names = await namesIn(disk, segmentsPath);
  for (const name of names.filter(isRemoved)) await disk.remove(join(segmentsPath, name));
  const sequences = names.flatMap((name) => segmentSequenceOf(name) ?? []).sort((a, b) => a - b);
  const found: FoundSegment[] = [];
  for (const [position, sequence] of sequences.entries()) {
    const directory = join(segmentsPath, segmentName(sequence));
    const header = await readHeader(disk, directory, group, sequence);
    if (header !== undefined) found.push({ directory, header });
    // A segment is opened ahead without a header and gets it before its first record.
    else if (position === sequences.length - 1 && (await disk.databaseIsEmpty(databasePath(directory))))
      await removeDirectory(disk, directory);
    else throw new FlotillaError('DATA_LOSS', `group ${group}: ${directory} holds records and its header is missing`);
  }
  if (found.length === 0)
    throw new FlotillaError('DATA_LOSS', `group ${group}: ${segmentsPath} holds no segment of its log`);
  return { segments: await withoutGivenUp(disk, found, beginIndex), lastSequence: sequences.at(-1) ?? 0 };
}

/**
 * Removes the segments before the one that the log begins with by the marker: they were given up, and a crash came
 * before they went.
 */
async function withoutGivenUp(
  disk: Disk,
  found: readonly FoundSegment[],
  beginIndex: LogIndex,
): Promise<FoundSegment[]> {
  const first = found.findIndex(({ header }) => header.before.index === beginIndex);
  for (const { directory } of found.slice(0, Math.max(first, 0))) await removeDirectory(disk, directory);
  return found.slice(Math.max(first, 0));
}

async function namesIn(disk: Disk, path: string): Promise<string[]> {
  try {
    return await disk.list(path);
  } catch (error) {
    throw new FlotillaError('DATA_LOSS', `${path} can't be read: the log is missing`, { cause: error });
  }
}

function requireContinuation(tail: LogTail, directory: string, header: SegmentHeader, oldest: SegmentHeader): void {
  const { before } = header;
  const continues =
    before.index === tail.index &&
    before.term === tail.term &&
    before.checksum === tail.checksum &&
    before.nextCounter === tail.nextCounter;
  if (continues && header.incarnation === oldest.incarnation && header.machine === oldest.machine) return;
  throw new FlotillaError(
    'DATA_LOSS',
    `group ${header.group}: ${directory} begins after record ${before.index} and the segment before it ends with ` +
      `record ${tail.index}, or they are of different histories: a segment is missing or was changed`,
  );
}

async function openSealed(
  directory: string,
  header: SegmentHeader,
  settings: DatabaseSettings,
): Promise<{ segment: Segment; summary: ContentsSummary }> {
  const footer = await footerIfSound(settings.disk, directory);
  if (footer !== undefined)
    return { segment: Segment.sealedExisting(directory, header, footer, settings), summary: footer };
  // The crash came between the last record and the footer, or the footer was damaged: everything in it can be had from
  // the records.
  const segment = Segment.openExisting(directory, header, settings);
  try {
    await segment.scan(() => undefined);
    const summary = segment.summary();
    await segment.seal();
    await segment.settle();
    return { segment, summary };
  } catch (error) {
    await segment.close();
    throw error;
  }
}

/**
 * A footer on the youngest segment is left by a crash between sealing it and
 * beginning the next, or by one in the middle of a truncation. It goes, because
 * the segment is about to be written to; but first what it says must be there.
 */
async function openYoungest(
  directory: string,
  header: SegmentHeader,
  marker: Marker,
  settings: DatabaseSettings,
): Promise<{ segment: Segment; summary: ContentsSummary }> {
  const footer = await footerIfSound(settings.disk, directory);
  const segment = Segment.openExisting(directory, header, settings);
  try {
    const atMarker = watchFor(marker);
    const atFooter = watchFor(footer?.tail);
    await segment.scan((record) => {
      atMarker.see(record);
      atFooter.see(record);
    });
    const { tail } = segment;
    if (footer !== undefined && footer.tail.index > header.before.index && !atFooter.met())
      throw lost(header.group, directory, tail, footer.tail, 'its footer');
    if (marker.index > header.before.index && !atMarker.met())
      throw lost(header.group, directory, tail, marker, 'the marker');
    await removeFooter(settings.disk, directory);
    return { segment, summary: segment.summary() };
  } catch (error) {
    await segment.close();
    throw error;
  }
}

type Place = Pick<LogTail, 'index' | 'term' | 'checksum'>;

function watchFor(place: Place | undefined): { see(record: LogRecord): void; met(): boolean } {
  let met = false;
  return {
    see: ({ index, term, checksum }) => {
      if (index === place?.index) met = term === place.term && checksum === place.checksum;
    },
    met: () => met,
  };
}

/** A marker inside a sealed segment, after a crash in a truncation or with a damaged newer slot: the record is read. */
async function requireMarked(
  marker: Marker,
  begin: LogTail,
  segments: readonly Segment[],
  group: GroupId,
  path: string,
): Promise<void> {
  const youngest = present(segments.at(-1), 'there is at least one segment');
  if (marker.index > youngest.before.index || marker.index <= begin.index) return;
  const segment = present(
    segments.findLast(({ before }) => before.index < marker.index),
    'the marker lies above the begin',
  );
  const place =
    marker.index === segment.tail.index ? segment.tail : (await segment.read(marker.index, marker.index, 1))[0];
  if (place?.term !== marker.term || place.checksum !== marker.checksum)
    throw lost(group, path, youngest.tail, marker, 'the marker');
}

function lost(group: GroupId, directory: string, tail: LogTail, place: Place, source: string): FlotillaError {
  const what = tail.index < place.index ? `ends with record ${tail.index}` : `holds another record ${place.index}`;
  return new FlotillaError(
    'DATA_LOSS',
    `group ${group}: the log in ${directory} ${what}, but ${source} says that it held record ${place.index} of ` +
      `term ${place.term}`,
  );
}

async function footerIfSound(disk: Disk, directory: string): Promise<ContentsSummary | undefined> {
  try {
    return await readFooter(disk, directory);
  } catch (error) {
    if (error instanceof FlotillaError && error.code === 'DATA_LOSS') return undefined;
    throw error;
  }
}

/** Throws where the log knows a later term than the hard state, which is written first. */
export function requireNotAhead(group: GroupId, log: RecoveredLog, hardStateTerm: Term): void {
  if (log.tail.term <= hardStateTerm) return;
  throw new FlotillaError(
    'DATA_LOSS',
    `group ${group}: the log has records of term ${log.tail.term} and the hard state only term ${hardStateTerm}: ` +
      'it was rolled back, and this node may have voted since',
  );
}
