import { advanced, type Counter, counter, LIMITS, type LogIndex, logIndex, MinHeap } from '../base/index.js';
import type { EventId, Glob } from '../event/index.js';
import { isSystemNamespace } from '../event/index.js';
import { batchesOf, type LogRecord, openStoredBatch } from '../wire/index.js';

/** What a part of a log holds of one namespace. */
export interface NamespaceCount {
  /** UTF-8. */
  readonly name: Uint8Array;
  readonly count: number;
  readonly first: EventId;
  readonly last: EventId;
}

/** Namespaces of a part of a log, ascending by bytes; some at a time, none behind the last. */
export interface NamespaceCursor {
  next(): Promise<readonly NamespaceCount[]>;
}

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
  private after: Buffer;
  private ended = false;

  constructor(
    ranges: readonly RecordRange[],
    read: ReadRecords,
    options: { glob: Glob; after: Buffer; afterCounter: Counter; most?: number },
  ) {
    this.ranges = ranges;
    this.read = read;
    this.glob = options.glob;
    this.after = options.after;
    this.afterCounter = options.afterCounter;
    this.most = options.most ?? LIMITS.talliedNamespaces;
  }

  async next(): Promise<readonly NamespaceCount[]> {
    if (this.ended) return [];
    const window = new Window(this.after, this.most);
    for (const { from, to } of this.ranges) {
      for (let next = from; next <= to; ) {
        const records = await this.read(next, to, LIMITS.readChunkBytes);
        for (const record of records) if (record.kind === 'events') this.count(record, window);
        next = advanced(next, logIndex(next + records.length), 'counting namespaces');
      }
    }
    this.ended = window.isWhole;
    const counted = window.ascending();
    this.after = Buffer.from(counted.at(-1)?.name ?? this.after);
    return counted;
  }

  private count(record: LogRecord, window: Window): void {
    for (const batch of batchesOf(record)) {
      const { baseCounter, actor, count } = batch.header;
      const first = Math.max(0, this.afterCounter + 1 - baseCounter);
      if (first >= count) continue;
      const body = openStoredBatch(batch);
      // A name of earlier events only has no place in the window.
      const met = new Set<number>();
      for (let position = first; position < count; position++) met.add(body.namespaceIndexOf(position));
      const tallies = body.namespaces.map((name, at) => (met.has(at) && wants(this.glob, name) ? window.tallyOf(name) : undefined));
      if (tallies.every((tally) => tally === undefined)) continue;
      for (let position = first; position < count; position++) {
        tallies[body.namespaceIndexOf(position)]?.add({ counter: counter(baseCounter + position), actor });
      }
    }
  }
}

function wants(glob: Glob, name: string): boolean {
  return glob.everything ? !isSystemNamespace(name) : glob.matches(name);
}

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

/** The tallies of the first names behind one, so many at most. */
class Window {
  isWhole = true;
  private readonly after: Buffer;
  private readonly most: number;
  private readonly tallies = new Map<string, { readonly name: Buffer; readonly tally: Tally }>();
  private readonly greatest = new MinHeap<Buffer>((left, right) => Buffer.compare(right, left));

  constructor(after: Buffer, most: number) {
    this.after = after;
    this.most = most;
  }

  /** Undefined where the name is not of this window. */
  tallyOf(text: string): Tally | undefined {
    const known = this.tallies.get(text);
    if (known !== undefined) return known.tally;
    const name = Buffer.from(text);
    if (Buffer.compare(name, this.after) <= 0) return undefined;
    if (!this.isWhole && Buffer.compare(name, this.greatest.least ?? name) > 0) return undefined;
    const tally = new Tally();
    this.tallies.set(text, { name, tally });
    this.greatest.push(name);
    if (this.tallies.size > this.most) {
      // Those that are behind the window now never come back into it: what has been counted of the others is whole.
      this.isWhole = false;
      this.tallies.delete(this.greatest.pop()?.toString() ?? '');
      return this.tallies.has(text) ? tally : undefined;
    }
    return tally;
  }

  ascending(): NamespaceCount[] {
    const counted: NamespaceCount[] = [];
    for (const { name, tally } of this.tallies.values()) {
      if (tally.first !== undefined && tally.last !== undefined)
        counted.push({ name, count: tally.count, first: tally.first, last: tally.last });
    }
    return counted.sort((left, right) => Buffer.compare(left.name, right.name));
  }
}
