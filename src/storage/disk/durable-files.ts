import { basename, dirname, join } from 'node:path';
import type { Disk } from './disk.js';

/** Directories that bear this prefix are on their way out; a start removes what a crash left of them. */
const REMOVED_PREFIX = 'removed-';

export function isRemoved(name: string): boolean {
  return name.startsWith(REMOVED_PREFIX);
}

/** What a directory is called from when it goes until it is gone. */
export function removedPath(directory: string): string {
  return join(dirname(directory), `${REMOVED_PREFIX}${basename(directory)}`);
}

/** Puts `content` in the place of a file: a crash leaves the old content or the new, never a part. */
export async function replaceFile(disk: Disk, path: string, content: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`;
  await disk.writeFile(temporary, content);
  await disk.rename(temporary, path);
  await disk.syncDirectory(dirname(path));
}

/**
 * Removes a directory in two steps. Deleting many files is not atomic, so it
 * first gets a name that start-up knows: a crash leaves the whole directory or
 * something that the next start deletes.
 */
export async function removeDirectory(disk: Disk, path: string): Promise<void> {
  await removeDirectories(disk, [path]);
}

/** The same of several in one directory, with one fsync: a crash may leave any of them. */
export async function removeDirectories(disk: Disk, paths: readonly string[]): Promise<void> {
  const [first] = paths;
  if (first === undefined) return;
  const doomed = await Promise.all(
    paths.map(async (path) => {
      const renamed = removedPath(path);
      await disk.remove(renamed);
      await disk.rename(path, renamed);
      return renamed;
    }),
  );
  await disk.syncDirectory(dirname(first));
  await Promise.all(doomed.map((path) => disk.remove(path)));
}
