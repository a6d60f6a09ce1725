import { advanced, counter, LIMITS, type LogIndex, logIndex, MinHeap, present } from '../base/index.js';
import type { Glob } from '../event/index.js';
import type { LogBegin } from '../machine/stream/index.js';
import type { LogRecord } from '../wire/index.js';
import { type RecordRange, RecordTally } from './namespace-tally.js';
import { type NamespaceCount, type NamespaceCursor, type StreamLog, type Turns, UNDIVIDED } from './ports.js';

/** What is listed of: the committed records of a stream. */
export interface ListedLog {
  /** Where the stream begins for its readers. */
  readonly state: { readonly first: LogBegin };
  readonly group: {
    readonly commitIndex: LogIndex;
    read(from: LogIndex, to: LogIndex, maxBytes: number): LogRecord[] | Promise<LogRecord[]>;
  };
}

/** What to list. */
export interface NamespaceListing {
  readonly glob: Glob;
  /** Begin behind this name; empty: with the first. */
  readonly after: string;
}

/**
 * The namespaces that have events in a log, ascending by bytes, each with what all parts of the log hold of it: the
 * indexes of sealed segments, and a count of the records that none covers. One block of rows of each part is in memory.
 */
export async function* listNamespaces(
  log: ListedLog,
  stored: Pick<StreamLog, 'namespaces'>,
  listing: NamespaceListing,
  turns: Turns = UNDIVIDED,
): AsyncGenerator<NamespaceCount> {
  const { glob } = listing;
  const { commitIndex } = log.group;
  const { first } = log.state;
  const after = Buffer.from(listing.after);
  const cursors: NamespaceCursor[] = [];
  const rest: RecordRange[] = [];
  const whole = await firstWhole(log);
  if (whole > first.index + 1) addRange(rest, logIndex(first.index + 1), logIndex(whole - 1));
  for (let next = whole; next <= commitIndex; ) {
    const table = await stored.namespaces(next, commitIndex, { prefix: glob.literalPrefix, after: listing.after });
    if (table !== undefined) cursors.push(table.rows);
    const through: LogIndex = table?.through ?? (await lastRead(log, next, commitIndex));
    if (table === undefined) addRange(rest, next, through);
    next = advanced(next, logIndex(through + 1), 'listing namespaces');
    if (turns.isDue) await turns.next();
  }
  const afterCounter = counter(first.firstCounter - 1);
  cursors.push(
    new RecordTally(rest, (from, to, maxBytes) => log.group.read(from, to, maxBytes), {
      glob,
      after,
      afterCounter,
      turns,
    }),
  );
  for await (const row of merged(cursors)) {
    if (turns.isDue) await turns.next();
    const name = Buffer.from(row.name);
    const text = name.toString();
    if (Buffer.compare(name, after) > 0 && glob.matches(text)) yield row;
  }
}

async function lastRead(log: ListedLog, from: LogIndex, to: LogIndex): Promise<LogIndex> {
  const records = await log.group.read(from, to, LIMITS.readChunkBytes);
  return present(records.at(-1), 'a read returns at least one record').index;
}

/** The stream may begin within a record, of which an index counts everything. */
async function firstWhole(log: ListedLog): Promise<LogIndex> {
  const { first } = log.state;
  let next = logIndex(first.index + 1);
  while (next <= log.group.commitIndex) {
    const [record] = await log.group.read(next, next, LIMITS.readChunkBytes);
    if (record === undefined || record.firstCounter >= first.firstCounter) break;
    next = logIndex(next + 1);
  }
  return next;
}

function addRange(ranges: RecordRange[], from: LogIndex, to: LogIndex): void {
  const last = ranges.at(-1);
  if (last !== undefined && last.to + 1 === from) ranges[ranges.length - 1] = { from: last.from, to };
  else ranges.push({ from, to });
}

interface Place {
  readonly cursor: NamespaceCursor;
  readonly row: NamespaceCount;
  readonly rows: readonly NamespaceCount[];
  readonly at: number;
}

/** One row a namespace; the cursors' parts of the log may come in any order. */
async function* merged(cursors: readonly NamespaceCursor[]): AsyncGenerator<NamespaceCount> {
  const places = new MinHeap<Place>((left, right) => Buffer.compare(left.row.name, right.row.name));
  const advance = async (cursor: NamespaceCursor, rows: readonly NamespaceCount[], at: number): Promise<void> => {
    const [current, position] = at < rows.length ? [rows, at] : [await cursor.next(), 0];
    const row = current[position];
    if (row !== undefined) places.push({ cursor, row, rows: current, at: position });
  };
  for (const cursor of cursors) await advance(cursor, [], 0);
  let merged: NamespaceCount | undefined;
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    if (merged !== undefined && Buffer.compare(merged.name, place.row.name) !== 0) {
      yield merged;
      merged = undefined;
    }
    merged = merged === undefined ? place.row : joined(merged, place.row);
    await advance(place.cursor, place.rows, place.at + 1);
  }
  if (merged !== undefined) yield merged;
}

function joined(left: NamespaceCount, right: NamespaceCount): NamespaceCount {
  const first = left.first.counter < right.first.counter ? left.first : right.first;
  const last = left.last.counter > right.last.counter ? left.last : right.last;
  return { name: left.name, count: left.count + right.count, first, last };
}
