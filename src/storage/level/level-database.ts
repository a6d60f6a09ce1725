import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { FlotillaError, LIMITS, messageOf } from '../../base/index.js';
import type { DatabaseEntry, DatabaseOptions, DiskDatabase } from '../disk/index.js';
import { inspect } from './inspection.js';
import { liveTables } from './manifest.js';
import { type Hole, without } from './table-check.js';

type Level = ClassicLevel<Uint8Array, Uint8Array>;

export function createLevelDatabase(path: string, options: DatabaseOptions): Promise<DiskDatabase> {
  return openLevel(path, options, { createIfMissing: true, errorIfExists: true });
}

/** Never makes one: LevelDB takes a directory without `CURRENT` for a new database. See {@link inspect}. */
export async function openLevelDatabase(path: string, options: DatabaseOptions): Promise<DiskDatabase> {
  const { holes, writeBufferBytes } = await inspect(path, options.writeBufferBytes);
  return openLevel(path, { writeBufferBytes }, { createIfMissing: false, errorIfExists: false }, holes);
}

/** A LevelDB that was written to has a table or a byte of write-ahead log. */
export async function levelDatabaseIsEmpty(path: string): Promise<boolean> {
  const files = await readdir(path).catch(() => []);
  for (const file of files) {
    if (file.endsWith('.ldb') || file.endsWith('.sst')) return false;
    if (file.endsWith('.log') && (await stat(join(path, file))).size > 0) return false;
  }
  return true;
}

class LevelDatabase implements DiskDatabase {
  private readonly path: string;
  private readonly level: Level;
  private holes: readonly Hole[];
  /** Mean size of a value in the last read; the first read begins with a single value. */
  private meanBytes = Number.POSITIVE_INFINITY;

  constructor(path: string, level: Level, holes: readonly Hole[]) {
    this.path = path;
    this.level = level;
    this.holes = holes;
  }

  async write(entries: readonly DatabaseEntry[], deleteFrom: number, deleteTo: number): Promise<void> {
    await this.put(entries, deleteFrom, deleteTo);
    // What was written now is found before what a table has.
    if (deleteFrom <= deleteTo) this.holes = without(this.holes, deleteFrom, deleteTo);
    const [first, last] = [entries.at(0), entries.at(-1)];
    if (first !== undefined && last !== undefined) this.holes = without(this.holes, first.index, last.index);
  }

  private put(entries: readonly DatabaseEntry[], deleteFrom: number, deleteTo: number): Promise<void> {
    const [first] = entries;
    if (first !== undefined && entries.length === 1 && deleteFrom > deleteTo) {
      return this.level.put(keyOf(first.index), first.bytes, { sync: true });
    }
    const batch = this.level.batch();
    for (let index = deleteFrom; index <= deleteTo; index++) batch.del(keyOf(index));
    for (const { index, bytes } of entries) batch.put(keyOf(index), bytes);
    return batch.write({ sync: true });
  }

  /**
   * Reads by keys: the binding's iterators keep a copy of what they gave out last until JavaScript's part of them is
   * collected, which knows nothing of those bytes. Readers of a long log would hold a gigabyte.
   */
  async read(from: number, until: number, maxBytes: number): Promise<Uint8Array[]> {
    const hole = this.holes.find((each) => each.to >= from && each.from <= until);
    if (hole !== undefined && hole.from <= from) throw new FlotillaError('DATA_LOSS', hole.what);
    const to = hole === undefined ? until : hole.from - 1;
    const values: Uint8Array[] = [];
    for (let bytes = 0; bytes < maxBytes && from + values.length <= to; ) {
      const wanted = Math.min(READ_ENTRIES, Math.max(1, Math.ceil((maxBytes - bytes) / this.meanBytes)));
      const first = from + values.length;
      const keys = Array.from({ length: Math.min(wanted, to - first + 1) }, (_, at) => keyOf(first + at));
      for (const value of await this.level.getMany(keys)) {
        if (value === undefined) return values;
        values.push(value);
        bytes += value.byteLength;
      }
      this.meanBytes = Math.max(1, bytes / values.length);
    }
    return values;
  }

  async scan(visit: (entries: readonly DatabaseEntry[]) => void): Promise<void> {
    if (this.holes.length > 0) return this.scanAroundHoles(visit);
    const entries = this.level.iterator({ highWaterMarkBytes: LIMITS.readChunkBytes });
    try {
      for (;;) {
        const chunk = await entries.nextv(CHUNK_ENTRIES);
        if (chunk.length === 0) return;
        visit(chunk.map(([key, bytes]) => ({ index: indexOf(key), bytes })));
      }
    } finally {
      await entries.close();
    }
  }

  /** Reads by keys: an iterator looks at the block after the one that it is to end in. */
  private async scanAroundHoles(visit: (entries: readonly DatabaseEntry[]) => void): Promise<void> {
    // Opening has made tables of what the write-ahead log held.
    const tables = await liveTables(this.path);
    const last = Math.max(...tables.map((table) => table.last));
    for (let at = Math.min(...tables.map((table) => table.first)); at <= last; ) {
      const hole = this.holes.find(({ from, to }) => from <= at && at <= to);
      const values =
        hole === undefined
          ? await this.read(at, last, LIMITS.readChunkBytes)
          : Array.from({ length: hole.to - at + 1 }, () => UNREADABLE);
      visit(values.map((bytes, position) => ({ index: at + position, bytes })));
      at = values.length > 0 ? at + values.length : await this.nextFrom(at, last);
    }
  }

  /** The first index that has a value or begins a hole, of the next few; the one behind them where none does. */
  private async nextFrom(at: number, last: number): Promise<number> {
    const hole = this.holes.find(({ to }) => to >= at);
    const end = Math.min(at + READ_ENTRIES, last + 1, hole?.from ?? last + 1);
    const values = await this.level.getMany(Array.from({ length: end - at }, (_, position) => keyOf(at + position)));
    const found = values.findIndex((value) => value !== undefined);
    return found < 0 ? end : at + found;
  }

  /**
   * LevelDB writes its memory, which is all that the write-ahead log holds, as a
   * table; it does so before it compacts any range, and this one is empty.
   */
  settle(): Promise<void> {
    return this.level.compactRange(NO_KEY, NO_KEY);
  }

  close(): Promise<void> {
    return this.level.close();
  }
}

async function openLevel(
  path: string,
  { writeBufferBytes }: DatabaseOptions,
  creation: { createIfMissing: boolean; errorIfExists: boolean },
  holes: readonly Hole[] = [],
): Promise<DiskDatabase> {
  try {
    const level: Level = new ClassicLevel(path, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      // Tables are compressed, in LevelDB's own thread; what is being written stays in the write-ahead log as it is.
      compression: true,
      cacheSize: BLOCK_CACHE_BYTES,
      writeBufferSize: writeBufferBytes,
      maxFileSize: writeBufferBytes,
      ...creation,
    });
    await level.open();
    return new LevelDatabase(path, level, holes);
  } catch (error) {
    throw openFailure(path, error);
  }
}

/** LevelDB's own reason; DATA_LOSS where something that was there is missing or damaged. */
function openFailure(path: string, error: unknown): unknown {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  const words = messageOf(cause);
  const missing = words.includes('does not exist') || words.includes('No such file');
  if (code !== 'LEVEL_CORRUPTION' && !missing) return cause;
  return new FlotillaError('DATA_LOSS', `${path} can't be opened: ${words}`, { cause });
}

/**
 * What a read of small records decompressed is kept for the next key, which lies
 * in the same block of 4 KiB as a rule. LevelDB divides it by sixteen, so that a
 * block of one large batch is not kept: what is hot is in the node's own cache.
 */
const BLOCK_CACHE_BYTES = 256 * 1024;

/** Values that come over in one call of a read: how large they are is known from those before. */
const READ_ENTRIES = 256;

/** LevelDB's values come over in one call; this bounds how many of the smallest ones. */
const CHUNK_ENTRIES = 8192;

/** Stands for a value in a damaged block. */
const UNREADABLE = new Uint8Array(0);

/** Sorts behind every key that a record can have. */
const NO_KEY = new Uint8Array(9).fill(0xff);

/** Big-endian, so that LevelDB's order of keys is the order of indexes. */
function keyOf(index: number): Uint8Array {
  const key = new Uint8Array(8);
  new DataView(key.buffer).setBigUint64(0, BigInt(index));
  return key;
}

function indexOf(key: Uint8Array): number {
  return key.byteLength === 8 ? Number(new DataView(key.buffer, key.byteOffset, 8).getBigUint64(0)) : Number.NaN;
}
