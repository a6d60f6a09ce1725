import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Directories that bear this prefix are on their way out; a start removes what a crash left of them. */
const REMOVED_PREFIX = 'removed-';

export function isRemoved(name: string): boolean {
  return name.startsWith(REMOVED_PREFIX);
}

/** Makes the names in a directory durable: files made, renamed or removed in it before this call. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Makes a new file with this content, fsynced; its name is durable only after its directory is synced too. */
export async function writeNewFile(path: string, content: Uint8Array): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Puts `content` in the place of a file: a crash leaves the old content or the new, never a part. */
export async function replaceFile(path: string, content: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeNewFile(temporary, content);
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/**
 * Removes a directory in two steps. Deleting many files is not atomic, so it
 * first gets a name that start-up knows: a crash leaves the whole directory or
 * something that the next start deletes.
 */
export async function removeDirectory(path: string): Promise<void> {
  const parent = dirname(path);
  const doomed = join(parent, `${REMOVED_PREFIX}${basename(path)}`);
  await rm(doomed, { recursive: true, force: true });
  await rename(path, doomed);
  await syncDirectory(parent);
  await rm(doomed, { recursive: true, force: true });
}

/** The operating system's code of a failed file operation, such as ENOENT. */
export function systemCodeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
