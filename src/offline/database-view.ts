import { copyFile, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { FlotillaError, LIMITS, messageOf } from '../base/index.js';
import { type DiskDatabase, systemCodeOf } from '../storage/disk/index.js';
import { openLevelDatabase } from '../storage/level/index.js';

/** A database that is only read. */
export type DatabaseView = Pick<DiskDatabase, 'read' | 'scan'>;

/**
 * Opens a database whose directory must stay as it is. Opening a LevelDB writes:
 * it makes a table of the write-ahead log, replaces the manifest and deletes what
 * is out of date. So it is opened in `scratchPath`, where tables and write-ahead
 * logs are links, which LevelDB reads and of which it deletes no more than the
 * link, and what it replaces is a copy. One segment's worth of room is enough.
 *
 * Rejects with DATA_LOSS where there is none, or LevelDB itself finds it damaged.
 */
export async function withDatabaseView<Result>(
  path: string,
  scratchPath: string,
  action: (database: DatabaseView) => Promise<Result>,
): Promise<Result> {
  const view = join(scratchPath, 'db');
  await rm(view, { recursive: true, force: true });
  await mkdir(view);
  // LevelDB names the place where it was opened.
  const translated = async <T>(reading: Promise<T>): Promise<T> => {
    try {
      return await reading;
    } catch (error) {
      const code = error instanceof FlotillaError ? error.code : 'DATA_LOSS';
      throw new FlotillaError(code, messageOf(error).replaceAll(view, path), { cause: error });
    }
  };
  try {
    await translated(link(path, view));
    const database = await translated(openLevelDatabase(view, { writeBufferBytes: 2 * LIMITS.segmentBytes }));
    try {
      return await action({
        read: (...range) => translated(database.read(...range)),
        scan: (visit) => translated(database.scan(visit)),
      });
    } finally {
      await database.close();
    }
  } finally {
    await rm(view, { recursive: true, force: true });
  }
}

async function link(path: string, view: string): Promise<void> {
  for (const name of await filesOf(path)) {
    const [from, to] = [resolve(path, name), join(view, name)];
    if (/\.(ldb|sst|log)$/.test(name)) await symlink(from, to);
    else if (name === 'CURRENT' || name.startsWith('MANIFEST-')) await copyFile(from, to);
  }
}

async function filesOf(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
    throw new FlotillaError('DATA_LOSS', `${path} is missing: ${messageOf(error)}`, { cause: error });
  }
}
