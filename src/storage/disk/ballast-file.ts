import { open, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { FlotillaError, LIMITS, messageOf } from '../../base/index.js';
import { type DiskSpace, diskSpaceOf, isDiskFull } from './disk-space.js';
import { systemCodeOf } from './system-code.js';

/*
 * Opening a LevelDB writes: it makes a table of the write-ahead log, as large as
 * that, before it deletes it. So a node whose disk is full could not even start
 * to be read. The ballast file in its folder is as large as that takes for the
 * largest write-ahead log that there is, and a little larger for what a running
 * node can't do without.
 *
 * Before a record is written, the ballast covers what opening its database again
 * will take. Opening one on a full disk is lent what is lacking, one at a time: the
 * write-ahead log that is deleted gives the space back, and the ballast takes it at
 * once, so that the next database, and the next start, have it again.
 */

/**
 * What opening a database with a write-ahead log of this size may take: its table, which is a little larger, and small
 * files.
 */
export function bytesToOpen(logBytes: number): number {
  return LIMITS.ballastUnitBytes * Math.ceil((1.25 * logBytes + LIMITS.ballastUnitBytes) / LIMITS.ballastUnitBytes);
}

export interface BallastFileOptions {
  /** The node's folder, which need not be there yet. */
  readonly nodePath: string;
  /** Told once, when some of the ballast is given free for the first time. */
  readonly onUsed: () => void;
  /** Default: the file system is asked. */
  readonly measure?: ((path: string) => Promise<DiskSpace>) | undefined;
}

/** Disk space that a node keeps for its next start, and for reading on a full disk. */
export class BallastFile {
  private readonly nodePath: string;
  private readonly measure: (path: string) => Promise<DiskSpace>;
  private readonly onUsed: () => void;
  private size: number;
  private wanted: number;
  private largestLog = 0;
  private used = false;
  /** As of the last look. */
  private isScarce = false;
  /** One change of its size is under way at a time. */
  private changing: Promise<unknown> = Promise.resolve();

  private constructor({ nodePath, onUsed, measure = diskSpaceOf }: BallastFileOptions, size: number) {
    this.nodePath = nodePath;
    this.measure = measure;
    this.onUsed = onUsed;
    this.size = size;
    // One that is larger than that has been needed before.
    this.wanted = Math.max(size, LIMITS.runningSpareBytes + bytesToOpen(LEAST_AHEAD_BYTES));
  }

  static async find(options: BallastFileOptions): Promise<BallastFile> {
    return new BallastFile(options, (await sizeOf(ballastPath(options.nodePath))) ?? 0);
  }

  get bytes(): number {
    return this.size;
  }

  /** Size of the largest write-ahead log that it had to cover since the start. */
  get largestLogBytes(): number {
    return this.largestLog;
  }

  /** How much it lacks of what it should hold. */
  get missingBytes(): number {
    return Math.max(0, this.wanted - this.size);
  }

  /** Next to nothing was free when the disk was last measured. */
  get isTight(): boolean {
    return this.isScarce;
  }

  async freeBytes(): Promise<number> {
    const { freeBytes } = await this.measure(this.nodePath);
    this.isScarce = freeBytes < LIMITS.runningSpareBytes / 2;
    return freeBytes;
  }

  /** A write-ahead log is about to be this large. */
  async cover(logBytes: number): Promise<void> {
    this.largestLog = Math.max(this.largestLog, logBytes);
    const needed = LIMITS.runningSpareBytes + bytesToOpen(logBytes);
    if (needed <= this.size) return;
    // Half as much again: a log that grows steadily should not ask each time.
    const aheadBytes = Math.min(LIMITS.ballastAheadBytes, Math.max(LEAST_AHEAD_BYTES, logBytes / 2));
    if (needed > this.wanted) this.wanted = LIMITS.runningSpareBytes + bytesToOpen(logBytes + aheadBytes);
    await this.refill();
  }

  /**
   * Takes what it lacks, as far as a running node can do without. Resolves with how much it took. Where other programs
   * are quicker, it keeps what it had.
   */
  refill(): Promise<number> {
    return this.exclusively(() => this.takeBack(this.wanted));
  }

  /** Frees what is lacking of so many bytes, as far as the ballast has it. */
  async leave(bytes: number): Promise<void> {
    if (this.size === 0 || (await this.freeBytes()) >= bytes) return;
    await this.exclusively(() => this.shrinkFor(bytes));
  }

  /**
   * Runs what needs so much space, and may be begun again where it failed. On a full disk it is lent what is lacking,
   * and runs while no other action has a loan.
   */
  async lend<Result>(bytes: number, action: () => Promise<Result>): Promise<Result> {
    try {
      if (this.size === 0 || (await this.freeBytes()) >= bytes) return await action();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
    return await this.exclusively(async () => {
      const before = this.size;
      await this.shrinkFor(bytes);
      try {
        return await this.tryTwice(bytes, action);
      } finally {
        await this.takeBack(before);
      }
    });
  }

  /**
   * Other programs may have been quicker, it takes more than was thought, or a quota is full, which the file system
   * does not tell of: then twice as much, whatever seems to be free. Not all of the ballast: it would be lost to the
   * program that fills the disk.
   */
  private async tryTwice<Result>(bytes: number, action: () => Promise<Result>): Promise<Result> {
    try {
      return await action();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      if (this.size === 0) throw this.noRoom(bytes, error);
    }
    await this.shrinkTo(this.size - 2 * bytes);
    try {
      return await action();
    } catch (error) {
      throw isDiskFull(error) ? this.noRoom(bytes, error) : error;
    }
  }

  private noRoom(bytes: number, cause: unknown): FlotillaError {
    const needed = `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    return new FlotillaError(
      'DISK_NEARLY_FULL',
      `the disk that ${this.nodePath} is on is full, and the ballast is used up: free ${needed} there, ` +
        `or enlarge the disk, and try again (${messageOf(cause)})`,
      { cause },
    );
  }

  private async shrinkFor(bytes: number): Promise<void> {
    if (this.size === 0) return;
    const lacking = bytes - (await this.freeBytes());
    if (lacking > 0) await this.shrinkTo(this.size - lacking);
  }

  private async shrinkTo(bytes: number): Promise<void> {
    // File systems free space by whole blocks.
    const left = BLOCK_BYTES * Math.max(0, Math.floor(bytes / BLOCK_BYTES));
    if (left === 0) await rm(ballastPath(this.nodePath), { force: true });
    else await truncate(ballastPath(this.nodePath), left);
    this.size = left;
    if (!this.used) this.onUsed();
    this.used = true;
  }

  private async takeBack(upTo: number): Promise<number> {
    if (upTo <= this.size) return 0;
    const spare = (await this.freeBytes()) - LIMITS.runningSpareBytes;
    const taken = BLOCK_BYTES * Math.floor(Math.min(upTo - this.size, spare) / BLOCK_BYTES);
    if (taken <= 0) return 0;
    try {
      await this.grow(taken);
      return taken;
    } catch (error) {
      if (isDiskFull(error)) return 0;
      throw error;
    }
  }

  private async grow(bytes: number): Promise<void> {
    const file = await open(ballastPath(this.nodePath), 'a', 0o600);
    try {
      const zeros = Buffer.alloc(Math.min(bytes, PIECE_BYTES));
      for (let left = bytes; left > 0; left -= zeros.byteLength) await file.appendFile(zeros.subarray(0, left));
      this.size += bytes;
    } catch (error) {
      // What was written of it is needed for something else.
      await file.truncate(this.size);
      throw error;
    } finally {
      await file.close();
    }
  }

  private exclusively<Result>(action: () => Promise<Result>): Promise<Result> {
    const done = this.changing.then(action);
    // The next action only waits for its end; the failure is its own caller's.
    this.changing = done.catch(() => undefined);
    return done;
  }
}

/**
 * Small: once the C library has given back one large block, it keeps blocks up to twice that size in each thread, for
 * later.
 */
const PIECE_BYTES = 64 * 1024;
/** The ballast is ahead of the write-ahead logs by at least this. */
const LEAST_AHEAD_BYTES = 512 * 1024;

const BLOCK_BYTES = 4096;

function ballastPath(nodePath: string): string {
  return join(nodePath, 'ballast');
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
