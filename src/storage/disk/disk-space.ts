import { statfs } from 'node:fs/promises';
import { systemCodeOf } from './system-code.js';

/** The file system that a path is on. */
export interface DiskSpace {
  /** What this user may still write. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export async function diskSpaceOf(path: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

const FULL_CODES: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT']);
/** As LevelDB words it. */
const FULL_WORDS = ['No space left on device', 'Disk quota exceeded'];

/** Whether an operation failed because a disk, or what this user may use of it, is full. */
export function isDiskFull(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { message } = cause;
    if (FULL_CODES.has(systemCodeOf(cause)) || FULL_WORDS.some((words) => message.includes(words))) return true;
  }
  return false;
}
