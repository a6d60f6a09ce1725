import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '../../base/index.js';
import { type BallastFile, bytesToOpen } from './ballast-file.js';
import type { DatabaseEntry, Disk, DiskDatabase } from './disk.js';
import { systemCodeOf } from './system-code.js';

/** A disk with a node's ballast for what must go on where it is full. */
export function ballastedDisk(disk: Disk, ballast: BallastFile): Disk {
  return {
    ...disk,
    writeFile: (path, content) =>
      ballast.lend(content.byteLength + SMALL_FILE_BYTES, () => disk.writeFile(path, content)),
    async createDatabase(path, options) {
      await ballast.leave(bytesToOpen(0));
      return new BallastedDatabase(await disk.createDatabase(path, options), ballast);
    },
    async openDatabase(path, options) {
      const needed = bytesToOpen(await logBytesOf(path));
      return new BallastedDatabase(await ballast.lend(needed, () => disk.openDatabase(path, options)), ballast);
    },
  };
}

/** Before it is written to, the ballast covers what opening it again will take. */
class BallastedDatabase implements DiskDatabase {
  private readonly database: DiskDatabase;
  private readonly ballast: BallastFile;
  /** Size of the write-ahead log: a database begins a new one when it is opened. */
  private logBytes = 0;

  constructor(database: DiskDatabase, ballast: BallastFile) {
    this.database = database;
    this.ballast = ballast;
  }

  async write(entries: readonly DatabaseEntry[], deleteFrom: number, deleteTo: number): Promise<void> {
    const changes = entries.length + Math.max(0, deleteTo - deleteFrom + 1);
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes.byteLength, changes * CHANGE_BYTES);
    this.logBytes += bytes;
    await this.ballast.cover(this.logBytes);
    // Events are not taken by now; votes and what new leaders write are.
    if (this.ballast.isTight) await this.ballast.leave(bytes + SMALL_FILE_BYTES);
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
const SMALL_FILE_BYTES = LIMITS.runningSpareBytes / 8;

/**
 * Bytes of the write-ahead logs that opening a LevelDB makes a table of. 0 where there is no database: opening it will
 * tell.
 */
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
