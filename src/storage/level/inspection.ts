import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FlotillaError } from '../../base/index.js';
import { type LiveTable, liveTables } from './manifest.js';
import { type Hole, holesIn } from './table-check.js';

/** What is damaged in a closed database, and how it can be opened all the same. */
export interface Inspection {
  /** Ascending by where they begin. */
  readonly holes: readonly Hole[];
  readonly writeBufferBytes: number;
}

/**
 * LevelDB does not look at the checksums of what it reads from tables, and where keys or lengths are damaged it ends
 * the process (an assertion, or memory that no host has). So all tables are verified before it sees them, and what
 * stands in damaged blocks is not looked up.
 *
 * What LevelDB reads by itself is what it merges: where it would have reason to
 * as soon as it is open, and something is damaged, this rejects with DATA_LOSS.
 * Lookups give it another, which needs keys that one table covers and only an
 * older one has; a segment's tables are not such.
 */
export async function inspect(path: string, writeBufferBytes: number): Promise<Inspection> {
  const tables = await liveTables(path);
  const holes: Hole[] = [];
  for (const table of tables) holes.push(...(await holesIn(table)));
  const [hole] = holes.sort((one, other) => one.from - other.from);
  if (hole === undefined) return { holes, writeBufferBytes };
  const logs = await logSizes(path);
  const buffer = Math.max(writeBufferBytes, BYTES_IN_MEMORY * logs.reduce((sum, bytes) => sum + bytes, 0));
  if (buffer > WRITE_BUFFER_BYTES_MAX || wouldMerge(tables, logs.length))
    throw new FlotillaError('DATA_LOSS', hole.what);
  return { holes, writeBufferBytes: buffer };
}

/** LevelDB merges level 0, where tables may overlap, once it has so many of them. */
const TABLES_TO_MERGE = 4;
/** LevelDB merges level 1, where tables do not overlap, above this size; each further level takes ten times as much. */
const LEVEL_BYTES = 10 * 1024 * 1024;

/**
 * Whether LevelDB would read tables as soon as it is open. Opening makes one of each write-ahead log that the write
 * buffer takes.
 */
export function wouldMerge(tables: readonly LiveTable[], logs: number): boolean {
  if (tables.filter(({ level }) => level === 0).length + logs >= TABLES_TO_MERGE) return true;
  return tables.some((table) => {
    const sameLevel = tables.filter(({ level }) => level === table.level);
    const bytes = sameLevel.reduce((sum, each) => sum + each.bytes, 0);
    // What nothing overlaps in the next level is moved there without reading it.
    const overlaps = tables.some(
      (next) => next.level === table.level + 1 && next.first <= table.last && next.last >= table.first,
    );
    return table.level > 0 && overlaps && bytes >= LEVEL_BYTES * 10 ** (table.level - 1);
  });
}

async function logSizes(path: string): Promise<number[]> {
  const names = (await readdir(path)).filter((name) => name.endsWith('.log'));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(path, name))).size));
  return sizes.filter((bytes) => bytes > 0);
}

/** What a byte of a write-ahead log may take in memory. A deletion takes most: 42 bytes for a key of ten. */
const BYTES_IN_MEMORY = 5;
/** LevelDB takes no more. */
const WRITE_BUFFER_BYTES_MAX = 2 ** 30;
