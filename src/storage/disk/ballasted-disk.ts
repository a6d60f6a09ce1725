import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '../../base/index.js';
import { type ReserveFile, roomToOpen } from './ballast-file.js';
import type { DatabaseEntry, Disk, DiskDatabase } from './disk.js';
import { systemCodeOf } from './system-code.js';

/** The machine's disk, with a node's reserve for what must go on where it is full. */
export function reservedDisk(disk: Disk, reserve: ReserveFile): Disk {
  return {
    ...disk,
    writeFile: (path, content) =>
      reserve.lend(content.byteLength + SMALL_FILE_BYTES, () => disk.writeFile(path, content)),
    async createDatabase(path, options) {
      await reserve.leave(roomToOpen(0));
      return new ReservedDatabase(await disk.createDatabase(path, options), reserve);
    },
    async openDatabase(path, options) {
      const needed = roomToOpen(await logBytesOf(path));
      return new ReservedDatabase(await reserve.lend(needed, () => disk.openDatabase(path, options)), reserve);
    },
  };
}

/** Before it is written to, the reserve covers what opening it again will take. */
class ReservedDatabase implements DiskDatabase {
  private readonly database: DiskDatabase;
  private readonly reserve: ReserveFile;
  /** Of the write-ahead log: a database begins a new one when it is opened. */
  private logBytes = 0;

  constructor(database: DiskDatabase, reserve: ReserveFile) {
    this.database = database;
    this.reserve = reserve;
  }

  async write(entries: readonly DatabaseEntry[], deleteFrom: number, deleteTo: number): Promise<void> {
    const changes = entries.length + Math.max(0, deleteTo - deleteFrom + 1);
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes.byteLength, changes * CHANGE_BYTES);
    this.logBytes += bytes;
    await this.reserve.cover(this.logBytes);
    // Events are not taken by now; votes and what new leaders write are.
    if (this.reserve.isTight) await this.reserve.leave(bytes + SMALL_FILE_BYTES);
    await this.database.write(entries, deleteFrom, deleteTo);
  }

  read(from: number, to: number, maxBytes: number): Promise<Uint8Array[]> {
    return this.database.read(from, to, maxBytes);
  }

  scan(visit: (entries: readonly DatabaseEntry[]) => void): Promise<void> {
    return this.database.scan(visit);
  }

  settle(): Promise<void> {
    return this.database.settle();
  }

  close(): Promise<void> {
    return this.database.close();
  }
}

/** A change's key, lengths, and its part of what LevelDB puts around a batch. */
const CHANGE_BYTES = 64;

/** What a file takes beside its content. */
const SMALL_FILE_BYTES = LIMITS.roomToRunBytes / 8;

/** Of the records that opening a LevelDB makes a table of. Nothing where there is none: who opens it finds out. */
async function logBytesOf(path: string): Promise<number> {
  try {
    const logs = (await readdir(path)).filter((name) => name.endsWith('.log'));
    const sizes = await Promise.all(logs.map(async (name) => (await stat(join(path, name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR') return 0;
    throw error;
  }
}
