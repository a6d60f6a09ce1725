import { setImmediate } from 'node:timers/promises';
import type { Disk, DiskDatabase, DiskFile } from '../../src/storage/disk/disk.js';

interface Call {
  readonly method: string;
  readonly path: string;
}

/** A reader of a file that has gone meanwhile is told so, and looks again; a checkpoint is written again. */
const mayBeOvertaken = ({ method, path }: Call): boolean =>
  ['readFile', 'openFile', 'closeFile', 'list'].includes(method) || path.endsWith('/checkpoint.tmp');

/**
 * A disk of which a test holds one call, and sees whether something is renamed
 * or removed while another call works in it.
 */
export class HoldingDisk implements Disk {
  /** Whether to hold this call; at most one is held at a time. */
  holds: (method: string, path: string) => boolean = () => false;
  /**
   * What stands at this index and behind it, in the databases at these paths, is not what was written, until they are
   * renamed.
   */
  readonly damaged = new Map<string, number>();
  readonly violations: string[] = [];
  private readonly disk: Disk;
  private readonly underWay = new Set<Call>();
  private held: { readonly call: Call; readonly release: () => void } | undefined;

  constructor(disk: Disk) {
    this.disk = disk;
  }

  get isHolding(): boolean {
    return this.held !== undefined;
  }

  /** Resolves when nothing goes on but what waits for the held call. */
  async quiet(): Promise<void> {
    for (let quietTurns = 0; quietTurns < 20; quietTurns++) {
      await setImmediate();
      if (this.underWay.size > (this.isHolding ? 1 : 0)) quietTurns = 0;
    }
  }

  release(): void {
    this.held?.release();
  }

  readFile(path: string): Promise<Uint8Array | undefined> {
    return this.run('readFile', path, () => this.disk.readFile(path));
  }

  writeFile(path: string, content: Uint8Array): Promise<void> {
    return this.run('writeFile', path, () => this.disk.writeFile(path, content));
  }

  async openFile(path: string): Promise<DiskFile | undefined> {
    const file = await this.run('openFile', path, () => this.disk.openFile(path));
    if (file === undefined) return undefined;
    return {
      read: (...args) => this.run('readFile', path, () => file.read(...args)),
      write: (content, position) => file.write(content, position),
      sync: () => this.run('sync', path, () => file.sync()),
      close: () => this.run('closeFile', path, () => file.close()),
    };
  }

  rename(from: string, to: string): Promise<void> {
    return this.run('rename', from, () => {
      this.noteUsers('renamed', from);
      for (const path of this.damaged.keys()) if (path.startsWith(`${from}/`)) this.damaged.delete(path);
      return this.disk.rename(from, to);
    });
  }

  remove(path: string): Promise<void> {
    return this.run('remove', path, () => {
      this.noteUsers('removed', path);
      return this.disk.remove(path);
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.run('makeDirectory', path, () => this.disk.makeDirectory(path));
  }

  list(path: string): Promise<string[]> {
    return this.run('list', path, () => this.disk.list(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.run('syncDirectory', path, () => this.disk.syncDirectory(path));
  }

  databaseIsEmpty(path: string): Promise<boolean> {
    return this.disk.databaseIsEmpty(path);
  }

  async createDatabase(...args: Parameters<Disk['createDatabase']>): Promise<DiskDatabase> {
    return this.watched(args[0], await this.run('createDatabase', args[0], () => this.disk.createDatabase(...args)));
  }

  async openDatabase(...args: Parameters<Disk['openDatabase']>): Promise<DiskDatabase> {
    return this.watched(args[0], await this.run('openDatabase', args[0], () => this.disk.openDatabase(...args)));
  }

  private watched(path: string, database: DiskDatabase): DiskDatabase {
    return {
      write: (...args) => this.run('write', path, () => database.write(...args)),
      read: async (from, ...args) => {
        const values = await this.run('read', path, () => database.read(from, ...args));
        const damagedFrom = this.damaged.get(path) ?? Number.POSITIVE_INFINITY;
        return values.map((value, at) => (from + at >= damagedFrom ? value.map((byte) => byte ^ 1) : value));
      },
      scan: (visit) => this.run('scan', path, () => database.scan(visit)),
      settle: () => this.run('settle', path, () => database.settle()),
      close: () => this.run('close', path, () => database.close()),
    };
  }

  private async run<Result>(method: string, path: string, action: () => Promise<Result>): Promise<Result> {
    const call = { method, path };
    this.underWay.add(call);
    try {
      if (this.held === undefined && this.holds(method, path)) {
        await new Promise<void>((resolve) => {
          this.held = { call, release: resolve };
        });
        this.held = undefined;
      }
      return await action();
    } finally {
      this.underWay.delete(call);
    }
  }

  private noteUsers(verb: string, directory: string): void {
    for (const call of this.underWay) {
      const { method, path } = call;
      if (!path.startsWith(`${directory}/`) || mayBeOvertaken(call)) continue;
      this.violations.push(`${directory} is ${verb} during ${method} of ${path}`);
    }
  }
}
