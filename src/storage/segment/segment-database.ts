import { FlotillaError, LIMITS, type LogIndex, messageOf } from '../../base/index.js';
import type { Clock, MachineKinds } from '../../group/index.js';
import type { LogRecord } from '../../wire/index.js';
import type { DatabaseEntry, DatabaseOptions, Disk, DiskDatabase } from '../disk/index.js';
import type { NamespaceIndexer } from '../namespace-index/index.js';
import type { Healing } from './healing.js';
import type { OpenDatabaseCache } from './open-database-cache.js';

/** How one node's segment databases are opened and maintained. */
export interface DatabaseSettings {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly segmentBytes: number;
  /** The kinds of the groups' state machines. */
  readonly machines: MachineKinds;
  readonly openDatabases: OpenDatabaseCache;
  /** Absent: what is sealed gets no namespace index. */
  readonly indexer?: NamespaceIndexer;
  readonly healing: Healing;
  /** Opening a LevelDB writes; where that fails the node must stop as after every failed write. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * The LevelDB of one segment. It opens on first use and may be closed whenever it is not in use; the segment that is
 * being written is `pinned` and stays open.
 */
export class SegmentDatabase {
  readonly path: string;
  private readonly settings: DatabaseSettings;
  private pinned: boolean;
  private retired = false;
  private users = 0;
  private opened: Promise<DiskDatabase> | undefined;
  private closing: Promise<void> = Promise.resolve();
  private readonly waitingForIdle: (() => void)[] = [];

  constructor(path: string, settings: DatabaseSettings, pinned: boolean) {
    this.path = path;
    this.settings = settings;
    this.pinned = pinned;
  }

  /** Makes an empty LevelDB at a path that does not exist, its files durable; it stays open and pinned. */
  static async create(path: string, settings: DatabaseSettings): Promise<SegmentDatabase> {
    const database = new SegmentDatabase(path, settings, true);
    database.opened = database.open(() => settings.disk.createDatabase(path, databaseOptions(settings)));
    await database.opened;
    return database;
  }

  /** What a segment of this node holds before it is sealed. */
  get segmentBytes(): number {
    return this.settings.segmentBytes;
  }

  get inUse(): boolean {
    return this.users > 0;
  }

  get isRetired(): boolean {
    return this.retired;
  }

  /** Keeps it open from the next use on. */
  pin(): void {
    this.pinned = true;
    this.settings.openDatabases.forget(this);
  }

  /** It will not be written to for now, and may be closed while it has no reader. */
  unpin(): void {
    this.pinned = false;
  }

  /** Makes opening it cheap, and closes it where it has no reader: it was unpinned. */
  async settle(): Promise<void> {
    await this.use((database) => database.settle());
    await this.rest();
  }

  /** Closes it until the next read: open, it takes memory. */
  async rest(): Promise<void> {
    if (!this.pinned && !this.inUse) await this.close();
  }

  /**
   * Closes it for good: its directory is about to go, or the log is closed. Waits for its users to end, and refuses new
   * ones.
   */
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
    await this.use((database) => database.write(records, deleteFrom, deleteTo));
  }

  /** See {@link DiskDatabase.read}. */
  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<Uint8Array[]> {
    return this.use((database) => database.read(from, to, maxBytes));
  }

  /** Everything there is, in order, a chunk at a time. */
  async scan(visit: (entries: readonly DatabaseEntry[]) => void): Promise<void> {
    await this.use((database) => database.scan(visit));
  }

  /** Waits for its users to end. */
  async close(): Promise<void> {
    while (this.users > 0) await new Promise<void>((resolve) => this.waitingForIdle.push(resolve));
    this.settings.openDatabases.forget(this);
    const { opened } = this;
    if (opened !== undefined) {
      this.opened = undefined;
      this.closing = opened.then((database) => database.close());
    }
    await this.closing;
  }

  private async use<Result>(action: (database: DiskDatabase) => Promise<Result>): Promise<Result> {
    if (this.retired) throw new FlotillaError('DATA_LOSS', `${this.path} was removed, or the storage is closed`);
    this.users++;
    try {
      this.opened ??= this.open(() => this.settings.disk.openDatabase(this.path, databaseOptions(this.settings)));
      return await action(await this.opened);
    } finally {
      this.users--;
      if (this.users === 0) for (const resolve of this.waitingForIdle.splice(0)) resolve();
      if (!this.pinned && this.opened !== undefined) this.settings.openDatabases.used(this);
    }
  }

  private async open(action: () => Promise<DiskDatabase>): Promise<DiskDatabase> {
    try {
      await this.closing;
      return await action();
    } catch (error) {
      this.opened = undefined;
      if (error instanceof FlotillaError && error.code === 'DATA_LOSS') throw error;
      // It was closed, and nothing of it changes: its reader can be told to wait for space.
      if (error instanceof FlotillaError && error.code === 'DISK_NEARLY_FULL' && !this.pinned) throw error;
      const code = error instanceof FlotillaError ? error.code : 'INTERNAL';
      const failure = new FlotillaError(code, `${this.path} can't be opened: ${messageOf(error)}`, { cause: error });
      this.settings.onFailure(failure);
      throw failure;
    }
  }
}

/**
 * Larger than a segment, so that the records of the segment being written stay
 * in the write-ahead log and are not written a second time while they are hot.
 * LevelDB counts its own overhead of about 50 bytes a record towards it.
 */
function databaseOptions({ segmentBytes }: DatabaseSettings): DatabaseOptions {
  return { writeBufferBytes: Math.min(2 ** 30, 1.5 * segmentBytes + 2 * LIMITS.writeGroupBytes) };
}
