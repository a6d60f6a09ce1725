import { mkdir } from 'node:fs/promises';
import { ClassicLevel } from 'classic-level';
import { FlotillaError, LIMITS, type LogIndex, messageOf } from '../base/index.js';
import type { LogRecord } from '../wire/index.js';
import type { ColdDatabases } from './cold-databases.js';
import { syncDirectory } from './durable-files.js';

type Level = ClassicLevel<Uint8Array, Uint8Array>;

/** How one node's segment databases are opened and looked after. */
export interface DatabaseSettings {
  readonly segmentBytes: number;
  readonly cold: ColdDatabases;
  /** Opening a LevelDB writes; where that fails the node must stop as after every failed write. */
  readonly onFailure: (error: unknown) => void;
}

/** An index and what LevelDB returned for it: not to be believed before it is verified. */
export interface UnverifiedEntry {
  readonly index: number;
  readonly bytes: Uint8Array;
}

/**
 * The LevelDB of one segment. It opens on first use and may be closed whenever
 * nobody uses it; the segment that is being written is `pinned` and stays open.
 */
export class SegmentDatabase {
  readonly path: string;
  private readonly settings: DatabaseSettings;
  private pinned: boolean;
  private retired = false;
  private users = 0;
  private level: Promise<Level> | undefined;
  private closing: Promise<void> = Promise.resolve();
  private readonly waitingForIdle: (() => void)[] = [];

  constructor(path: string, settings: DatabaseSettings, pinned: boolean) {
    this.path = path;
    this.settings = settings;
    this.pinned = pinned;
  }

  /** Makes an empty LevelDB at a path that does not exist, its files durable; it stays open and pinned. */
  static async create(path: string, settings: DatabaseSettings): Promise<SegmentDatabase> {
    await mkdir(path, { mode: 0o700 });
    const database = new SegmentDatabase(path, settings, true);
    database.level = database.openLevel({ createIfMissing: true, errorIfExists: true });
    await database.level;
    await syncDirectory(path);
    return database;
  }

  get inUse(): boolean {
    return this.users > 0;
  }

  /** Keeps it open from the next use on. */
  pin(): void {
    this.pinned = true;
    this.settings.cold.forget(this);
  }

  /** Closes it now, or where somebody reads, when the bounded set of cold databases wants its place. */
  async unpin(): Promise<void> {
    this.pinned = false;
    if (!this.inUse) await this.close();
  }

  /** Closes it for good: its directory is about to go. Waits for those who use it, and refuses new ones. */
  async retire(): Promise<void> {
    this.retired = true;
    await this.close();
  }

  /** Resolves when it can be used without waiting for LevelDB to recover. */
  async warm(): Promise<void> {
    await this.use(async () => undefined);
  }

  /** Durably: deletes the records `deleteFrom`..`deleteTo`, then puts `records`, all or nothing. */
  async write(records: readonly LogRecord[], deleteFrom: number, deleteTo: number): Promise<void> {
    await this.use(async (level) => {
      const [first] = records;
      if (first !== undefined && records.length === 1 && deleteFrom > deleteTo) {
        await level.put(keyOf(first.index), first.bytes, { sync: true });
        return;
      }
      const batch = level.batch();
      for (let index = deleteFrom; index <= deleteTo; index++) batch.del(keyOf(index));
      for (const record of records) batch.put(keyOf(record.index), record.bytes);
      await batch.write({ sync: true });
    });
  }

  /** What stands at `from`..`to`, in order, until `maxBytes` or the entries of a chunk are exceeded. */
  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<Uint8Array[]> {
    return this.use(async (level) => {
      const values = level.values({ gte: keyOf(from), lte: keyOf(to), highWaterMarkBytes: maxBytes });
      try {
        return await values.nextv(Math.min(to - from + 1, CHUNK_ENTRIES));
      } finally {
        await values.close();
      }
    });
  }

  /** Everything there is, in order, a chunk at a time. */
  async scan(visit: (entries: readonly UnverifiedEntry[]) => void): Promise<void> {
    await this.use(async (level) => {
      const entries = level.iterator({ highWaterMarkBytes: LIMITS.readChunkBytes });
      try {
        for (;;) {
          const chunk = await entries.nextv(CHUNK_ENTRIES);
          if (chunk.length === 0) return;
          visit(chunk.map(([key, bytes]) => ({ index: indexOf(key), bytes })));
        }
      } finally {
        await entries.close();
      }
    });
  }

  /** Waits for those who use it. */
  async close(): Promise<void> {
    while (this.users > 0) await new Promise<void>((resolve) => this.waitingForIdle.push(resolve));
    this.settings.cold.forget(this);
    const { level } = this;
    if (level !== undefined) {
      this.level = undefined;
      this.closing = level.then((opened) => opened.close());
    }
    await this.closing;
  }

  private async use<Result>(action: (level: Level) => Promise<Result>): Promise<Result> {
    if (this.retired) throw new FlotillaError('DATA_LOSS', `${this.path} was removed by a truncation`);
    this.users++;
    try {
      this.level ??= this.openLevel({ createIfMissing: false, errorIfExists: false });
      return await action(await this.level);
    } finally {
      this.users--;
      if (this.users === 0) for (const resolve of this.waitingForIdle.splice(0)) resolve();
      if (!this.pinned && this.level !== undefined) this.settings.cold.used(this);
    }
  }

  private async openLevel(creation: { createIfMissing: boolean; errorIfExists: boolean }): Promise<Level> {
    try {
      await this.closing;
      const bytes = writeBufferBytes(this.settings.segmentBytes);
      const level: Level = new ClassicLevel(this.path, {
        keyEncoding: 'view',
        valueEncoding: 'view',
        compression: false,
        writeBufferSize: bytes,
        maxFileSize: bytes,
        ...creation,
      });
      await level.open();
      return level;
    } catch (error) {
      this.level = undefined;
      throw this.openFailure(error);
    }
  }

  private openFailure(error: unknown): unknown {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    const words = messageOf(cause);
    const missing = words.includes('does not exist') || words.includes('No such file');
    if (code === 'LEVEL_CORRUPTION' || missing) {
      return new FlotillaError('DATA_LOSS', `${this.path} can't be opened: ${words}`, { cause });
    }
    const failure = new FlotillaError('INTERNAL', `${this.path} can't be opened: ${words}`, { cause });
    this.settings.onFailure(failure);
    return failure;
  }
}

/** LevelDB's values come over in one call; this bounds how many of the smallest ones. */
const CHUNK_ENTRIES = 8192;

/**
 * Larger than a segment, so that the records of the segment being written stay
 * in the write-ahead log and are not written a second time while they are hot.
 * LevelDB counts its own overhead of about 50 bytes a record towards it.
 */
function writeBufferBytes(segmentBytes: number): number {
  return Math.min(2 ** 30, 1.5 * segmentBytes + 2 * LIMITS.writeGroupBytes);
}

/** Big-endian, so that LevelDB's order of keys is the order of indexes. */
function keyOf(index: number): Uint8Array {
  const key = new Uint8Array(8);
  new DataView(key.buffer).setBigUint64(0, BigInt(index));
  return key;
}

function indexOf(key: Uint8Array): number {
  return key.byteLength === 8 ? Number(new DataView(key.buffer, key.byteOffset, 8).getBigUint64(0)) : Number.NaN;
}
