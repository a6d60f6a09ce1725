import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { FlotillaError, messageOf } from '../../base/index.js';

/**
 * A lock that the kernel gives back when the process ends, however it ends. A
 * lock file would outlive a SIGKILL, and a process id in it may by then be
 * another process's; Node itself has no call for kernel locks. LevelDB takes one
 * on every database that it opens, and refuses a second opening by the same
 * process too, which a bare fcntl lock would allow: so an empty database is the
 * lock.
 */
export interface DirectoryLock {
  release(): Promise<void>;
}

/** Undefined where another process, or another part of this one, holds it. */
export async function lockDirectory(path: string): Promise<DirectoryLock | undefined> {
  try {
    return await lock(path);
  } catch {
    // It holds nothing, so it may be damaged and made anew. The file that the kernel's lock is on stays: another
    // process may have it by now.
    await removeAllButTheLock(path);
    return await lock(path);
  }
}

async function lock(path: string): Promise<DirectoryLock | undefined> {
  const level = new ClassicLevel(path, { writeBufferSize: 64 * 1024 });
  try {
    await level.open();
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    if (cause instanceof Error && 'code' in cause && cause.code === 'LEVEL_LOCKED') return undefined;
    throw new FlotillaError('INVALID_ARGUMENT', `${path} can't be locked: ${messageOf(cause)}`, { cause });
  }
  return { release: () => level.close() };
}

async function removeAllButTheLock(path: string): Promise<void> {
  const names = await readdir(path).catch(() => []);
  for (const name of names.filter((name) => name !== 'LOCK'))
    await rm(join(path, name), { recursive: true, force: true });
}
