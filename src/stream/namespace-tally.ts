import { advanced, type Counter, counter, LIMITS, type LogIndex, logIndex, MinHeap, type Work } from '../base/index.js';
import type { EventId, Glob, StoredBatch } from '../event/index.js';
import { batchesOf, type LogRecord, openingStoredBatch } from '../wire/index.js';
import { type NamespaceCount, type NamespaceCursor, type Turns, UNDIVIDED } from './ports.js';
import { inTurns } from './read-turns.js';

/** Records `from`..`to`, both included. */
export interface RecordRange {
  readonly from: LogIndex;
  readonly to: LogIndex;
}

type ReadRecords = (from: LogIndex, to: LogIndex, maxBytes: number) => LogRecord[] | Promise<LogRecord[]>;

/**
 * Counts what stands in records that no index covers. At most
 * `LIMITS.talliedNamespaces` are in memory: where there are more, the records
 * are gone through again for the ones behind.
 */
export class RecordTally implements NamespaceCursor {
  private readonly ranges: readonly RecordRange[];
  private readonly read: ReadRecords;
  private readonly glob: Glob;
  private readonly afterCounter: number;
  private readonly most: number;
  private readonly turns: Turns;
  private after: Buffer;
  private ended = false;

  constructor(
    ranges: readonly RecordRange[],
    read: ReadRecords,
    options: { glob: Glob; after: Buffer; afterCounter: Counter; most?: number; turns?: Turns },
  ) {
    this.ranges = ranges;
    this.read = read;
    this.glob = options.glob;
    this.after = options.after;
    this.afterCounter = options.afterCounter;
    this.most = options.most ?? LIMITS.talliedNamespaces;
    this.turns = options.turns ?? UNDIVIDED;
  }

  async next(): Promise<readonly NamespaceCount[]> {
    if (this.ended) return [];
    const window = new Window(this.after, this.most);
    for (const { from, to } of this.ranges) {
      for (let next = from; next <= to; ) {
        const records = await this.read(next, to, LIMITS.readChunkBytes);
        for (const record of records) {
          if (record.kind !== 'events') continue;
          for (const batch of batchesOf(record)) {
            await inTurns(this.turns, this.counting(batch, window));
            if (this.turns.isDue) await this.turns.next();
          }
        }
        next = advanced(next, logIndex(next + records.length), 'counting namespaces');
      }
    }
    this.ended = window.isWhole;
    const counted = await inTurns(this.turns, window.ascending());
    this.after = Buffer.from(counted.at(-1)?.name ?? this.after);
    return counted;
  }

  private *counting(batch: StoredBatch, window: Window): Work<void> {
    const { baseCounter, actor, count } = batch.header;
    const first = Math.max(0, this.afterCounter + 1 - baseCounter);
    if (first >= count) return;
    const body = yield* openingStoredBatch(batch);
    // A name of earlier events only has no place in the window.
    const met = new Set<number>();
    for (let position = first; position < count; position++) met.add(body.namespaceIndexOf(position));
    const tallies: (Tally | undefined)[] = [];
    for (const [at, name] of body.namespaces.entries()) {
      tallies.push(met.has(at) && this.glob.matches(name) ? window.tallyOf(name) : undefined);
      if (at % NAMES_AT_ONCE === 0) yield;
    }
    if (tallies.every((tally) => tally === undefined)) return;
    for (let position = first; position < count; position++) {
      tallies[body.namespaceIndexOf(position)]?.add({ counter: counter(baseCounter + position), actor });
    }
  }
}

/** So many names are looked at without an interruption. */
const NAMES_AT_ONCE = 16;

/** What a name takes in memory beside its text, about. */
const NAME_OVERHEAD_BYTES = 400;

class Tally {
  count = 0;
  first: EventId | undefined;
  last: EventId | undefined;

  add(id: EventId): void {
    this.count++;
    this.first ??= id;
    this.last = id;
  }
}

interface NamedTally {
  readonly text: string;
  readonly name: Buffer;
  readonly tally: Tally;
}

/** The tallies of the first names behind one, so many at most, and so many bytes of them. */
class Window {
  isWhole = true;
  private readonly after: Buffer;
  private readonly most: number;
  private bytes = 0;
  private readonly tallies = new Map<string, Tally>();
  private readonly greatest = new MinHeap<NamedTally>((left, right) => Buffer.compare(right.name, left.name));

  constructor(after: Buffer, most: number) {
    this.after = after;
    this.most = most;
  }

  /** Undefined where the name is not of this window. */
  tallyOf(text: string): Tally | undefined {
    const known = this.tallies.get(text);
    if (known !== undefined) return known;
    const name = Buffer.from(text);
    if (Buffer.compare(name, this.after) <= 0) return undefined;
    if (!this.isWhole && Buffer.compare(name, this.greatest.least?.name ?? name) > 0) return undefined;
    const tally = new Tally();
    this.tallies.set(text, tally);
    this.greatest.push({ text, name, tally });
    this.bytes += 2 * name.byteLength + NAME_OVERHEAD_BYTES;
    while (this.tallies.size > this.most || (this.bytes > LIMITS.talliedNamespaceBytes && this.tallies.size > 1))
      this.dropGreatest();
    return this.tallies.has(text) ? tally : undefined;
  }

  /**
   * Those that are behind the window then never come back into it: what has been counted of the other names is whole.
   */
  private dropGreatest(): void {
    this.isWhole = false;
    const dropped = this.greatest.pop();
    if (dropped === undefined) return;
    this.tallies.delete(dropped.text);
    this.bytes -= 2 * dropped.name.byteLength + NAME_OVERHEAD_BYTES;
  }

  /** Empties the window. */
  *ascending(): Work<NamespaceCount[]> {
    const counted: NamespaceCount[] = [];
    for (let next = this.greatest.pop(); next !== undefined; next = this.greatest.pop()) {
      const { name, tally } = next;
      if (tally.first !== undefined && tally.last !== undefined)
        counted.push({ name, count: tally.count, first: tally.first, last: tally.last });
      if (counted.length % NAMES_AT_ONCE === 0) yield;
    }
    return counted.reverse();
  }
}
