import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '../base/index.js';
import { diskSpaceOf, isDiskFull } from './disk-space.js';
import { systemCodeOf } from './system-code.js';

/*
 * Opening a LevelDB writes: it makes a table of the write-ahead log, as large as
 * that, before it deletes it. So a node whose disk is full could not even start
 * to be read. The file `reserve` in its folder holds as much room as that may
 * take. A start that finds the disk full removes it; the node makes it again
 * when there is room.
 *
 * It is as large as the segment that is being written, and a little more. So it
 * grows with the log up to the size of one segment, and stays that large.
 */

/** What opening a segment of this size may take: its table, which is a little larger than its records, and small files. */
export function roomToOpen(segmentBytes: number): number {
  return LIMITS.reserveBytes * Math.ceil((1.25 * segmentBytes + LIMITS.reserveBytes) / LIMITS.reserveBytes);
}

/** Room that a node keeps for its next start. */
export class ReserveFile {
  private readonly path: string;
  private size: number;

  private constructor(path: string, size: number) {
    this.path = path;
    this.size = size;
  }

  static async find(nodePath: string): Promise<ReserveFile> {
    const path = reservePath(nodePath);
    return new ReserveFile(path, (await sizeOf(path)) ?? 0);
  }

  get bytes(): number {
    return this.size;
  }

  /** By how much it should be larger for this much in the segment that is being written. */
  missingFor(openSegmentBytes: number): number {
    return Math.max(0, roomToOpen(openSegmentBytes) - this.size);
  }

  /** By no more than one step. Where it fails the file goes: half of it may be there, and the room is needed for something else. */
  async grow(bytes: number): Promise<void> {
    const step = Math.min(bytes, LIMITS.reserveStepBytes);
    try {
      const file = await open(this.path, 'a', 0o600);
      try {
        await file.appendFile(Buffer.alloc(step));
        await file.sync();
      } finally {
        await file.close();
      }
      this.size += step;
    } catch (error) {
      await this.release();
      throw error;
    }
  }

  /** Gives its room free. */
  async release(): Promise<void> {
    this.size = 0;
    await rm(this.path, { force: true });
  }
}

/** Runs what opens a node's files. Where the disk is full, with the reserve given free. */
export async function withReserve<Result>(nodePath: string, action: () => Promise<Result>, onReleased: () => void): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    const reserve = await ReserveFile.find(nodePath);
    if (!isDiskFull(error) || reserve.bytes === 0) throw error;
    await reserve.release();
    onReleased();
    return await action();
  }
}

/** Gives the reserve free where less than this is left: what is opened might find room, and the first write after it none. */
export async function releaseReserveBelow(nodePath: string, freeBytes: number, onReleased: () => void): Promise<void> {
  const reserve = await ReserveFile.find(nodePath);
  if (reserve.bytes === 0 || (await diskSpaceOf(nodePath)).freeBytes >= freeBytes) return;
  await reserve.release();
  onReleased();
}

function reservePath(nodePath: string): string {
  return join(nodePath, 'reserve');
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
