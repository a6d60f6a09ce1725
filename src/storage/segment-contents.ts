import { type Counter, type LogIndex, logIndex } from '../base/index.js';
import type { TermStart } from '../raft/index.js';
import { decodeMembership, type LogRecord, type LogTail, type PlacedMembership, tailAfter } from '../wire/index.js';

/** A record that a search by counter can start from. */
export interface Landmark {
  readonly index: LogIndex;
  readonly firstCounter: Counter;
}

/** At most this many bytes of records lie between two landmarks: one short read finds a counter. */
const LANDMARK_SPACING_BYTES = 64 * 1024;

/** What is known of a segment's records without reading them; its footer holds exactly this. */
export interface ContentsSummary {
  readonly tail: LogTail;
  /** Of the records, envelopes included. */
  readonly bytes: number;
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
  private readonly termStarts: TermStart[];
  private readonly memberships: PlacedMembership[];
  private readonly landmarks: Landmark[];
  private bytesSinceLandmark: number;

  private constructor(summary: ContentsSummary) {
    this.tailNow = summary.tail;
    this.bytesNow = summary.bytes;
    this.termStarts = [...summary.termStarts];
    this.memberships = [...summary.memberships];
    this.landmarks = [...summary.landmarks];
    // Where the last landmark stands in bytes is not known any more: the next record becomes one.
    this.bytesSinceLandmark = LANDMARK_SPACING_BYTES;
  }

  /** Of a segment that has no records yet and follows a log with this tail. */
  static empty(before: LogTail): SegmentContents {
    return new SegmentContents({ tail: before, bytes: 0, termStarts: [], memberships: [], landmarks: [] });
  }

  static of(summary: ContentsSummary): SegmentContents {
    return new SegmentContents(summary);
  }

  get tail(): LogTail {
    return this.tailNow;
  }

  /** Bytes that were written, including those of truncated records: they still fill LevelDB's write buffer. */
  get bytes(): number {
    return this.bytesNow;
  }

  add(record: LogRecord): void {
    const { index, term, firstCounter } = record;
    if (term > this.tailNow.term) this.termStarts.push({ term, index });
    if (record.kind === 'configuration') this.memberships.push({ index, membership: decodeMembership(record.payload) });
    if (this.bytesSinceLandmark >= LANDMARK_SPACING_BYTES) {
      this.landmarks.push({ index, firstCounter });
      this.bytesSinceLandmark = 0;
    }
    this.bytesSinceLandmark += record.bytes.byteLength;
    this.bytesNow += record.bytes.byteLength;
    this.tailNow = tailAfter(record);
  }

  /** Forgets what stands above `tail`, which is of this segment or right before it. */
  truncate(tail: LogTail): void {
    for (const list of [this.termStarts, this.memberships, this.landmarks]) {
      const keep = list.findIndex((item) => item.index > tail.index);
      if (keep !== -1) list.length = keep;
    }
    this.bytesSinceLandmark = LANDMARK_SPACING_BYTES;
    this.tailNow = tail;
  }

  summary(): ContentsSummary {
    return {
      tail: this.tailNow,
      bytes: this.bytesNow,
      termStarts: [...this.termStarts],
      memberships: [...this.memberships],
      landmarks: [...this.landmarks],
    };
  }

  /** The range of indexes in which the events record with `counter` stands, if it stands in this segment. */
  around(counter: Counter): { from: LogIndex; to: LogIndex } | undefined {
    return rangeAround(this.landmarks, this.tailNow.index, counter);
  }
}

/**
 * A record without events has the first counter of the record after it, so the
 * record sought may come behind several with the same counter. It is never
 * before the last landmark at or below the counter, and never at or behind the
 * next one.
 */
export function rangeAround(
  landmarks: readonly Landmark[],
  lastIndex: LogIndex,
  counter: Counter,
): { from: LogIndex; to: LogIndex } | undefined {
  let low = 0;
  let high = landmarks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const landmark = landmarks[middle];
    if (landmark !== undefined && landmark.firstCounter <= counter) low = middle + 1;
    else high = middle;
  }
  const start = landmarks[low - 1];
  if (start === undefined) return undefined;
  const next = landmarks[low];
  return { from: start.index, to: next === undefined ? lastIndex : logIndex(next.index - 1) };
}
