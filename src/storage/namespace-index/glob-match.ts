import { advanced, assert, LIMITS, type LogIndex, logIndex, present } from '../../base/index.js';
import type { Glob } from '../../event/index.js';
import { type LogMatches, type Turns, UNDIVIDED } from '../../stream/index.js';
import { type GatheredEvents, type LogRecord, openAllGathered } from '../../wire/index.js';
import type { IndexedSegment } from './build-index.js';
import { blocksFor, hasPrefix, type IndexFile, type WithIndex } from './index-file.js';
import type { DirectoryBlock, IndexTop } from './index-layout.js';
import { type Extent, type NamespacePlace, type NamespaceRow, readPlaces } from './namespace-row.js';

/**
 * Copies are read where they are smaller by this factor than the records, which come in order and need no encoding, or
 * are few.
 */
const COPY_GAIN = 2;

/** How the events of one run that match are read: their copies, or the records that hold them. */
interface RunMatch {
  readonly first: LogIndex;
  readonly last: LogIndex;
  /** Undefined: by `records`. */
  readonly copies: readonly Extent[] | undefined;
  /** Ascending. */
  readonly records: readonly LogIndex[];
}

/** Where in a sealed segment the events are that match a glob. */
export class SegmentMatch {
  private readonly runs: readonly RunMatch[];

  constructor(runs: readonly RunMatch[]) {
    this.runs = runs;
  }

  /** Undefined where so many namespaces may match that looking each of them up saves nothing. */
  static async find(file: IndexFile, segment: IndexedSegment, glob: Glob): Promise<SegmentMatch | undefined> {
    return new MatchSearch(segment, glob, UNDIVIDED).goOn(file);
  }

  /** Whether some of it stands in no copy. */
  get needsRecords(): boolean {
    return this.runs.some(({ copies, records }) => copies === undefined && records.length > 0);
  }

  /** The first of what matches at `from` or behind it; `from` is of this segment. */
  async read(from: LogIndex, segment: IndexedSegment, withIndex: WithIndex): Promise<LogMatches | undefined> {
    assert(
      from > segment.before.index && from <= segment.tail.index,
      `record ${from} is not of a segment that ends with ${segment.tail.index}`,
    );
    let next = from;
    for (const [position, run] of this.runs.entries()) {
      if (run.last < next) continue;
      const wanted = run.records.length > 0 || (run.copies?.length ?? 0) > 0;
      if (wanted) {
        // Copies tell of no record: of a run that was read in part they would repeat what was read.
        return run.copies !== undefined && next <= run.first
          ? await withIndex((file) => readCopies(this.copiedFrom(position), file))
          : await readRecords(run, next, segment);
      }
      next = logIndex(run.last + 1);
    }
    return { kind: 'records', records: [], through: segment.tail.index };
  }

  /** This run and those behind it, as long as their copies fit into one read of cold records. */
  private copiedFrom(position: number): CopiedRun[] {
    const copied: CopiedRun[] = [];
    let bytes = 0;
    for (const { copies, last } of this.runs.slice(position)) {
      if (copies === undefined) break;
      bytes += copies.reduce((sum, { length }) => sum + length, 0);
      if (copied.length > 0 && bytes > LIMITS.readChunkBytes) break;
      copied.push({ copies, last });
    }
    return copied;
  }
}

/**
 * The search for a {@link SegmentMatch}, in as many steps as readers' turns allow: the index is open during one of them
 * only.
 */
export class MatchSearch {
  private readonly segment: IndexedSegment;
  private readonly glob: Glob;
  private readonly turns: Turns;
  private readonly prefix: Buffer;
  private readonly places = new Map<number, NamespacePlace[]>();
  private readonly runs: RunMatch[] = [];
  private top: IndexTop | undefined;
  private blocks: readonly DirectoryBlock[] = [];
  private nextBlock = 0;
  private ended = false;

  constructor(segment: IndexedSegment, glob: Glob, turns: Turns) {
    this.segment = segment;
    this.glob = glob;
    this.turns = turns;
    this.prefix = Buffer.from(glob.literalPrefix);
  }

  /** Whether it has ended; where it has not, other work is to go first. */
  get hasEnded(): boolean {
    return this.ended;
  }

  /** What was found, once it has ended; undefined also where looking it up saves nothing. */
  async goOn(file: IndexFile): Promise<SegmentMatch | undefined> {
    const top = this.top ?? (await this.begin(file));
    if (this.ended) return undefined;
    // Each step does something, however little time there is.
    for (let block = this.blocks[this.nextBlock]; block !== undefined; block = this.blocks[this.nextBlock]) {
      for (const row of await file.rows(block)) this.take(row);
      this.nextBlock++;
      if (this.turns.isDue) return undefined;
    }
    while (this.runs.length < top.runs.length) {
      const run = this.runs.length;
      this.runs.push(runMatch(top, run, this.segment.tail.index, this.places.get(run) ?? []));
      if (this.turns.isDue && this.runs.length < top.runs.length) return undefined;
    }
    this.ended = true;
    return new SegmentMatch(this.runs);
  }

  private async begin(file: IndexFile): Promise<IndexTop> {
    const top = await file.top();
    this.top = top;
    this.blocks = blocksFor(top, this.prefix);
    this.ended = this.blocks.reduce((sum, { length }) => sum + length, 0) > LIMITS.namespaceLookupBytes;
    return top;
  }

  private take(row: NamespaceRow): void {
    if (!hasPrefix(row.name, this.prefix) || !this.glob.matches(row.name.toString())) return;
    for (const place of readPlaces(row, this.segment.before.index)) {
      const others = this.places.get(place.run);
      if (others === undefined) this.places.set(place.run, [place]);
      else others.push(place);
    }
  }
}

interface CopiedRun {
  readonly copies: readonly Extent[];
  readonly last: LogIndex;
}

function runMatch(top: IndexTop, position: number, segmentEnd: LogIndex, placed: readonly NamespacePlace[]): RunMatch {
  const run = present(top.runs[position], 'a run');
  const following = top.runs[position + 1];
  const range = {
    first: run.firstIndex,
    last: following === undefined ? segmentEnd : logIndex(following.firstIndex - 1),
  };
  let eventBytes = 0;
  let recordBytes = 0;
  const copies: Extent[] = [];
  const records = new Set<LogIndex>();
  for (const place of placed) {
    eventBytes += place.eventBytes;
    recordBytes += place.recordBytes;
    if (place.copy !== undefined) copies.push(place.copy);
    for (const index of place.records) records.add(index);
  }
  const isSmaller =
    eventBytes * COPY_GAIN <=
    (eventBytes <= LIMITS.copiedNamespaceBytes ? run.recordBytes : Math.min(recordBytes, run.recordBytes));
  const copied = copies.length === placed.length && isSmaller;
  return { ...range, copies: copied ? copies : undefined, records: [...records].sort((left, right) => left - right) };
}

async function readCopies(runs: readonly CopiedRun[], file: IndexFile): Promise<LogMatches> {
  const gathered = await Promise.all(
    runs.map(async ({ copies }) => {
      const ofRun: GatheredEvents[] = [];
      for (const extent of copies) ofRun.push(...openAllGathered(await file.bytes(extent)));
      return ofRun;
    }),
  );
  const through = present(runs.at(-1), 'copies of a run').last;
  return {
    kind: 'events',
    gathered: gathered.flat(),
    ordered: runs.every(({ copies }) => copies.length <= 1),
    through,
  };
}

/** Those from `from` on, as many as fit into one read of cold records, at least one. */
async function readRecords(run: RunMatch, from: LogIndex, segment: IndexedSegment): Promise<LogMatches> {
  const records: LogRecord[] = [];
  const wanted = run.records.filter((index) => index >= from);
  let bytes = 0;
  for (let at = 0; at < wanted.length; ) {
    if (bytes >= LIMITS.readChunkBytes)
      return { kind: 'records', records, through: present(records.at(-1), 'something was read').index };
    const first = present(wanted[at], 'within the list');
    let end = at + 1;
    while (end < wanted.length && wanted[end] === first + (end - at)) end++;
    const part = await segment.read(first, logIndex(first + (end - at) - 1), LIMITS.readChunkBytes - bytes);
    for (const record of part) {
      records.push(record);
      bytes += record.bytes.byteLength;
    }
    at = advanced(at, at + part.length, 'reading the records that match');
  }
  return { kind: 'records', records, through: run.last };
}
