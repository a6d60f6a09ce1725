import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel, type ValueIterator } from 'classic-level';
import { FlotillaError, LIMITS, messageOf } from '../base/index.js';
import type { DatabaseEntry, DatabaseOptions, DiskDatabase } from './disk.js';

type Level = ClassicLevel<Uint8Array, Uint8Array>;

export function createLevelDatabase(path: string, options: DatabaseOptions): Promise<DiskDatabase> {
  return openLevel(path, options, { createIfMissing: true, errorIfExists: true });
}

/** Never makes one: LevelDB takes a directory without `CURRENT` for a new database. */
export function openLevelDatabase(path: string, options: DatabaseOptions): Promise<DiskDatabase> {
  return openLevel(path, options, { createIfMissing: false, errorIfExists: false });
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
  private readonly level: Level;

  constructor(level: Level) {
    this.level = level;
  }

  write(entries: readonly DatabaseEntry[], deleteFrom: number, deleteTo: number): Promise<void> {
    const [first] = entries;
    if (first !== undefined && entries.length === 1 && deleteFrom > deleteTo) {
      return this.level.put(keyOf(first.index), first.bytes, { sync: true });
    }
    const batch = this.level.batch();
    for (let index = deleteFrom; index <= deleteTo; index++) batch.del(keyOf(index));
    for (const { index, bytes } of entries) batch.put(keyOf(index), bytes);
    return batch.write({ sync: true });
  }

  async read(from: number, to: number, maxBytes: number): Promise<Uint8Array[]> {
    const values = this.level.values({ gte: keyOf(from), lte: keyOf(to), highWaterMarkBytes: maxBytes });
    try {
      const chunk = await values.nextv(Math.min(to - from + 1, CHUNK_ENTRIES));
      await forgetChunk(values);
      return chunk;
    } finally {
      await values.close();
    }
  }

  async scan(visit: (entries: readonly DatabaseEntry[]) => void): Promise<void> {
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
): Promise<DiskDatabase> {
  try {
    const level: Level = new ClassicLevel(path, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      compression: false,
      writeBufferSize: writeBufferBytes,
      maxFileSize: writeBufferBytes,
      ...creation,
    });
    await level.open();
    return new LevelDatabase(level);
  } catch (error) {
    throw openFailure(path, error);
  }
}

/**
 * The binding's iterator keeps a copy of the chunk that it gave out last until
 * JavaScript's part of it is collected, which knows nothing of those bytes:
 * readers of a long log would hold a gigabyte. An empty chunk takes its place.
 */
async function forgetChunk(values: ValueIterator<Level, Uint8Array, Uint8Array>): Promise<void> {
  values.seek(NO_KEY);
  await values.nextv(1);
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

/** LevelDB's values come over in one call; this bounds how many of the smallest ones. */
const CHUNK_ENTRIES = 8192;

/** Behind every key that a record can have. */
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
