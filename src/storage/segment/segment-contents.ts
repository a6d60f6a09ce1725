import { type Counter, type LogIndex, logIndex, type TimeBound } from '../../base/index.js';
import type { TermStart } from '../../raft/index.js';
import { decodeMembership, type LogRecord, type LogTail, type PlacedMembership, tailAfter } from '../../wire/index.js';

/** A record that a search by counter or by time can start from. */
export interface Landmark {
  readonly index: LogIndex;
  readonly firstCounter: Counter;
  /** Log time, UTC milliseconds. */
  readonly timeMs: number;
  /** Bytes of the segment's records with events that stand before it. */
  readonly eventBytes: number;
}

/** At most this many bytes of records lie between two landmarks: one short read finds a record. */
const LANDMARK_SPACING_BYTES = 64 * 1024;

/** What is known of a segment's records without reading them; its footer holds exactly this. */
export interface ContentsSummary {
  readonly tail: LogTail;
  /** Size of the records, envelopes included. */
  readonly bytes: number;
  /** Size of the records with events. */
  readonly eventBytes: number;
  /** Terms that begin in this segment. */
  readonly termStarts: readonly TermStart[];
  /** Configurations set in this segment. */
  readonly memberships: readonly PlacedMembership[];
  readonly landmarks: readonly Landmark[];
}

/** The running summary of a segment that is being written or scanned. */
export class SegmentContents {
  private tailNow: LogTail;
  private bytesNow: number;
  private eventBytesNow: number;
  private readonly termStarts: TermStart[];
  private readonly memberships: PlacedMembership[];
  private readonly marked: Landmark[];
  private bytesSinceLandmark: number;

  private constructor(summary: ContentsSummary) {
    this.tailNow = summary.tail;
    this.bytesNow = summary.bytes;
    this.eventBytesNow = summary.eventBytes;
    this.termStarts = [...summary.termStarts];
    this.memberships = [...summary.memberships];
    this.marked = [...summary.landmarks];
    // Where the last landmark stands in bytes is not known any more: the next record becomes one.
    this.bytesSinceLandmark = LANDMARK_SPACING_BYTES;
  }

  /** The contents of a segment without records that follows a log with this tail. */
  static empty(before: LogTail): SegmentContents {
    return new SegmentContents({
      tail: before,
      bytes: 0,
      eventBytes: 0,
      termStarts: [],
      memberships: [],
      landmarks: [],
    });
  }

  static of(summary: ContentsSummary): SegmentContents {
    return new SegmentContents(summary);
  }

  get tail(): LogTail {
    return this.tailNow;
  }

  get landmarks(): readonly Landmark[] {
    return this.marked;
  }

  /** Bytes that were written, including those of truncated records: they still fill LevelDB's write buffer. */
  get bytes(): number {
    return this.bytesNow;
  }

  /** Size of the records with events; after a truncation too small, at most by what lies between two landmarks. */
  get eventBytes(): number {
    return this.eventBytesNow;
  }

  add(record: LogRecord): void {
    const { index, term, firstCounter, timeMs } = record;
    if (term > this.tailNow.term) this.termStarts.push({ term, index });
    if (record.kind === 'configuration') this.memberships.push({ index, membership: decodeMembership(record.payload) });
    if (this.bytesSinceLandmark >= LANDMARK_SPACING_BYTES) {
      this.marked.push({ index, firstCounter, timeMs, eventBytes: this.eventBytesNow });
      this.bytesSinceLandmark = 0;
    }
    this.bytesSinceLandmark += record.bytes.byteLength;
    this.bytesNow += record.bytes.byteLength;
    if (record.kind === 'events') this.eventBytesNow += record.bytes.byteLength;
    this.tailNow = tailAfter(record);
  }

  /** Forgets what stands above `tail`, which is of this segment or right before it. */
  truncate(tail: LogTail): void {
    for (const list of [this.termStarts, this.memberships, this.marked]) {
      const keep = list.findIndex((item) => item.index > tail.index);
      if (keep !== -1) list.length = keep;
    }
    this.bytesSinceLandmark = LANDMARK_SPACING_BYTES;
    this.eventBytesNow = this.marked.at(-1)?.eventBytes ?? 0;
    this.tailNow = tail;
  }

  summary(): ContentsSummary {
    return {
      tail: this.tailNow,
      bytes: this.bytesNow,
      eventBytes: this.eventBytesNow,
      termStarts: [...this.termStarts],
      memberships: [...this.memberships],
      landmarks: [...this.marked],
    };
  }
}

/** What a search for a record stands on: of an open segment, or a sealed one's footer. */
export type MarkedRecords = Pick<ContentsSummary, 'landmarks' | 'tail'>;

/** Both included. */
export interface IndexRange {
  readonly from: LogIndex;
  readonly to: LogIndex;
}

/**
 * Where the events record with `counter` stands, if it is one of these. A
 * record without events has the first counter of the record after it, so the
 * record sought may come behind several with the same counter. It is never
 * before the last landmark at or below the counter, and never at or behind the
 * next one.
 */
export function rangeOfCounter({ landmarks, tail }: MarkedRecords, counter: Counter): IndexRange | undefined {
  const after = firstWhere(landmarks, ({ firstCounter }) => firstCounter > counter);
  const start = landmarks[after - 1];
  if (start === undefined) return undefined;
  const next = landmarks[after];
  return { from: start.index, to: next === undefined ? tail.index : logIndex(next.index - 1) };
}

/** Where the first record at or behind a time stands, if it is one of these; the first record is a landmark. */
export function rangeOfTime({ landmarks, tail }: MarkedRecords, isLate: TimeBound): IndexRange | undefined {
  const late = firstWhere(landmarks, isLate);
  const start = landmarks[Math.max(0, late - 1)];
  return start && { from: start.index, to: landmarks[late]?.index ?? tail.index };
}

/**
 * Where the first record stands before which there are `bytes` of records with events, and how many of them stand
 * before that range.
 */
export function rangeOfBytes(
  { landmarks, tail }: MarkedRecords,
  bytes: number,
): (IndexRange & { readonly eventBytes: number }) | undefined {
  const late = firstWhere(landmarks, ({ eventBytes }) => eventBytes >= bytes);
  const start = landmarks[Math.max(0, late - 1)];
  return start && { from: start.index, to: landmarks[late]?.index ?? tail.index, eventBytes: start.eventBytes };
}

/** Position of the first landmark for which `holds`, which is false for the first ones and true from some on. */
function firstWhere(landmarks: readonly Landmark[], holds: (landmark: Landmark) => boolean): number {
  let low = 0;
  let high = landmarks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const landmark = landmarks[middle];
    if (landmark !== undefined && holds(landmark)) high = middle;
    else low = middle + 1;
  }
  return low;
}
