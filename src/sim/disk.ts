import { basename, dirname } from 'node:path';
import { assert, FlotillaError, type Random } from '../base/index.js';
import type { DatabaseEntry, Disk, DiskDatabase, DiskFile } from '../storage/index.js';
import { carryOut, SimulatedDatabase } from './disk-database.js';
import { type Inode, SimulatedDirectory, SimulatedFile } from './disk-tree.js';
import type { EventQueue } from './event-queue.js';

/** How the process that uses the disk is told of what it waits for; nothing where it died meanwhile. */
export type Schedule = (delayMs: number, run: () => void) => void;

/** What may go wrong with a disk while it is used. */
export interface DiskTroubles {
  /** The next fsync fails, whatever it is of. */
  syncFails: boolean;
  /** No space is left. */
  full: boolean;
  /** How many of its operations take long. */
  slowRate: number;
  /** Nothing is finished before this time has passed. */
  stallMs: number;
  /** How much longer the next sync takes than others; undefined where all are alike. */
  syncDelayMs: (() => number) | undefined;
}

export const NO_TROUBLES: DiskTroubles = {
  syncFails: false,
  full: false,
  slowRate: 0,
  stallMs: 0,
  syncDelayMs: undefined,
};

/** Between its call and its end an operation may have reached the disk, or not: only a crash asks. */
interface Underway {
  readonly carryOut: () => void;
}

/**
 * One host's disk. It outlives the processes that use it one after another:
 * each begins with {@link attach}, and {@link crash} ends what it had under way.
 */
export class SimulatedDisk implements Disk {
  readonly root = new SimulatedDirectory();
  troubles: DiskTroubles = { ...NO_TROUBLES };
  /** Until then something takes that was begun while the disk was slow. */
  busyUntilMs = 0;
  private readonly random: Random;
  private readonly queue: EventQueue;
  private schedule: Schedule = () => assert(false, 'no process uses the disk');
  private readonly underway = new Set<Underway>();

  constructor(queue: EventQueue, random: Random) {
    this.queue = queue;
    this.random = random;
  }

  attach(schedule: Schedule): void {
    this.schedule = schedule;
  }

  /**
   * The process ends. What it had handed to the operating system stays; of what
   * was under way anything may have been done. A power cut also takes what was
   * not synced. True where something is lost.
   */
  crash(power: boolean): boolean {
    let lost = false;
    for (const { carryOut: reachesDisk } of this.underway) {
      if (this.random() < 0.5) lost = true;
      else this.attempt(reachesDisk);
    }
    this.underway.clear();
    this.schedule = () => undefined;
    if (power && this.root.loseUnsynced(this.random)) lost = true;
    return lost;
  }

  /** Nothing goes wrong any more. */
  heal(): void {
    this.troubles = { ...NO_TROUBLES };
  }

  /** The inode at a path; undefined where there is none. */
  find(path: string): Inode | undefined {
    let inode: Inode | undefined = this.root;
    for (const name of namesOf(path)) inode = inode?.kind === 'directory' ? inode.entries.get(name) : undefined;
    return inode;
  }

  readFile(path: string): Promise<Uint8Array | undefined> {
    return this.read(() => {
      const inode = this.find(path);
      return inode?.kind === 'file' ? Uint8Array.from(inode.content) : undefined;
    });
  }

  writeFile(path: string, content: Uint8Array): Promise<void> {
    return this.sync(() => {
      this.requireSpace();
      const file = new SimulatedFile(content);
      this.parentOf(path).make(basename(path), file);
      this.syncOf(file);
      file.sync();
    });
  }

  openFile(path: string): Promise<DiskFile | undefined> {
    return this.read(() => {
      const inode = this.find(path);
      return inode?.kind === 'file' ? new OpenFile(inode, this) : undefined;
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.write(() => {
      const inode = this.find(from);
      if (inode === undefined) throw systemError('ENOENT', from);
      const [source, target] = [this.parentOf(from), this.parentOf(to)];
      if (source === target) return source.rename(basename(from), basename(to));
      target.make(basename(to), inode);
      source.remove(basename(from));
    });
  }

  remove(path: string): Promise<void> {
    return this.write(() => {
      if (this.find(path) !== undefined) this.parentOf(path).remove(basename(path));
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.write(() => this.makeName(path, new SimulatedDirectory()));
  }

  list(path: string): Promise<string[]> {
    return this.read(() => [...this.directoryAt(path).entries.keys()].sort());
  }

  syncDirectory(path: string): Promise<void> {
    const inode = this.find(path);
    const changes = inode?.kind === 'directory' ? inode.changes : 0;
    return this.sync(() => {
      const directory = this.directoryAt(path);
      this.syncOf(undefined);
      directory.sync(changes);
    });
  }

  createDatabase(path: string): Promise<DiskDatabase> {
    return this.sync(() => {
      const database = new SimulatedDatabase();
      this.makeName(path, database);
      this.requireSpace();
      this.syncOf(undefined);
      database.hasCurrent = true;
      return new OpenDatabase(database, this);
    });
  }

  openDatabase(path: string): Promise<DiskDatabase> {
    return this.sync(() => {
      const inode = this.find(path);
      if (inode?.kind !== 'database' || !inode.hasCurrent)
        throw new FlotillaError('DATA_LOSS', `${path} can't be opened: it does not exist`);
      this.requireSpace();
      this.syncOf(undefined);
      return new OpenDatabase(inode, this);
    });
  }

  databaseIsEmpty(path: string): Promise<boolean> {
    return this.read(() => {
      const inode = this.find(path);
      return inode?.kind !== 'database' || inode.isEmpty;
    });
  }

  /** @internal Something is read: a crash in between leaves nothing. */
  read<Result>(action: () => Result): Promise<Result> {
    return this.operate(action, undefined);
  }

  /** @internal Something is changed: a crash in between leaves it done, or not. */
  write<Result>(action: () => Result): Promise<Result> {
    return this.operate(action, { carryOut: action });
  }

  /** @internal The same, where what is changed is also synced. */
  sync<Result>(action: () => Result): Promise<Result> {
    return this.operate(action, { carryOut: action }, this.troubles.syncDelayMs?.() ?? 0);
  }

  /** @internal Throws where no space is left. */
  requireSpace(): void {
    if (this.troubles.full) throw systemError('ENOSPC', 'write');
  }

  /** @internal Throws where this fsync is the one that fails. */
  syncOf(file: SimulatedFile | undefined): void {
    if (!this.troubles.syncFails) return;
    this.troubles.syncFails = false;
    file?.syncFailed();
    throw systemError('EIO', 'fsync');
  }

  private operate<Result>(action: () => Result, underway: Underway | undefined, delayMs = 0): Promise<Result> {
    if (underway !== undefined) this.underway.add(underway);
    return new Promise((resolve, reject) => {
      this.schedule(this.latencyMs(underway !== undefined, delayMs), () => {
        if (underway !== undefined) this.underway.delete(underway);
        try {
          resolve(action());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  private latencyMs(writes: boolean, delayMs: number): number {
    const { slowRate, stallMs } = this.troubles;
    const slow = stallMs > 0 || (slowRate > 0 && this.random() < slowRate);
    const othersMs = slow ? stallMs + 50 + 750 * this.random() : writes ? 0.2 + 3 * this.random() : 0.05;
    const latencyMs = othersMs + delayMs;
    if (!slow && delayMs === 0) return latencyMs;
    this.busyUntilMs = Math.max(this.busyUntilMs, this.queue.nowMs + latencyMs);
    return latencyMs;
  }

  private attempt(reachesDisk: () => void): void {
    try {
      reachesDisk();
    } catch {
      // The process that would have heard of the failure is gone.
    }
  }

  private makeName(path: string, inode: Inode): void {
    const parent = this.parentOf(path);
    if (parent.entries.has(basename(path))) throw systemError('EEXIST', path);
    parent.make(basename(path), inode);
  }

  private parentOf(path: string): SimulatedDirectory {
    return this.directoryAt(dirname(path));
  }

  private directoryAt(path: string): SimulatedDirectory {
    const inode = this.find(path);
    if (inode?.kind !== 'directory') throw systemError('ENOENT', path);
    return inode;
  }
}

class OpenFile implements DiskFile {
  private readonly file: SimulatedFile;
  private readonly disk: SimulatedDisk;

  constructor(file: SimulatedFile, disk: SimulatedDisk) {
    this.file = file;
    this.disk = disk;
  }

  read(bytes: number, position = 0): Promise<Uint8Array> {
    return this.disk.read(() => Uint8Array.from(this.file.content.subarray(position, position + bytes)));
  }

  write(content: Uint8Array, position: number): void {
    this.file.write(content, position);
  }

  sync(): Promise<void> {
    const { writes } = this.file;
    return this.disk.sync(() => {
      this.disk.syncOf(this.file);
      this.file.sync(writes);
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class OpenDatabase implements DiskDatabase {
  private readonly database: SimulatedDatabase;
  private readonly disk: SimulatedDisk;
  private readonly values: Map<number, Uint8Array>;
  /** What became of this handle after a failed write: `lies` says yes to writes that will be gone, `fails` to none. */
  private state: 'sound' | 'lies' | 'fails' = 'sound';

  constructor(database: SimulatedDatabase, disk: SimulatedDisk) {
    this.database = database;
    this.disk = disk;
    this.values = database.open();
  }

  write(entries: readonly DatabaseEntry[], deleteFrom: number, deleteTo: number): Promise<void> {
    const batch = { entries, deleteFrom, deleteTo };
    return this.disk.sync(() => {
      if (this.state === 'fails') throw systemError('EIO', 'write');
      if (this.state === 'sound') this.log(batch);
      carryOut(batch, this.values);
    });
  }

  private log(batch: { entries: readonly DatabaseEntry[]; deleteFrom: number; deleteTo: number }): void {
    this.state = 'lies';
    this.disk.requireSpace();
    this.state = 'fails';
    this.database.append(batch);
    this.disk.syncOf(undefined);
    this.state = 'sound';
    this.database.sync();
  }

  read(from: number, to: number, maxBytes: number): Promise<Uint8Array[]> {
    return this.disk.read(() => {
      const found: Uint8Array[] = [];
      for (let index = from, bytes = 0; index <= to && bytes < maxBytes; index++) {
        const value = this.values.get(index);
        if (value === undefined) continue;
        found.push(value);
        bytes += value.byteLength;
      }
      return found;
    });
  }

  scan(visit: (entries: readonly DatabaseEntry[]) => void): Promise<void> {
    return this.disk.read(() =>
      visit([...this.values].sort(([a], [b]) => a - b).map(([index, bytes]) => ({ index, bytes }))),
    );
  }

  settle(): Promise<void> {
    return this.disk.write(() => void this.database.open());
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '');
}

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
