import type { Disk, DiskDatabase, DiskFile } from '../../src/storage/disk/disk.js';
import { nodeDisk } from '../../src/storage/level/node-disk.js';

/**
 * The machine's disk until so many changes were made to it; the next one and all that follow fail, as if the process
 * had ended there.
 */
export class FailingDisk implements Disk {
  changesLeft: number;
  readonly readFile = nodeDisk.readFile;
  readonly list = nodeDisk.list;
  readonly databaseIsEmpty = nodeDisk.databaseIsEmpty;

  constructor(changesLeft: number) {
    this.changesLeft = changesLeft;
  }

  async writeFile(path: string, content: Uint8Array): Promise<void> {
    this.change();
    await nodeDisk.writeFile(path, content);
  }

  async openFile(path: string): Promise<DiskFile | undefined> {
    const file = await nodeDisk.openFile(path);
    if (file === undefined) return undefined;
    return {
      read: (bytes, position) => file.read(bytes, position),
      write: (content, position) => {
        this.change();
        file.write(content, position);
      },
      sync: () => file.sync(),
      close: () => file.close(),
    };
  }

  async rename(from: string, to: string): Promise<void> {
    this.change();
    await nodeDisk.rename(from, to);
  }

  async remove(path: string): Promise<void> {
    this.change();
    await nodeDisk.remove(path);
  }

  async makeDirectory(path: string): Promise<void> {
    this.change();
    await nodeDisk.makeDirectory(path);
  }

  async syncDirectory(path: string): Promise<void> {
    await nodeDisk.syncDirectory(path);
  }

  async createDatabase(...args: Parameters<Disk['createDatabase']>): Promise<DiskDatabase> {
    this.change();
    return this.watch(await nodeDisk.createDatabase(...args));
  }

  async openDatabase(...args: Parameters<Disk['openDatabase']>): Promise<DiskDatabase> {
    return this.watch(await nodeDisk.openDatabase(...args));
  }

  private watch(database: DiskDatabase): DiskDatabase {
    return {
      read: (...args) => database.read(...args),
      scan: (visit) => database.scan(visit),
      settle: () => database.settle(),
      close: () => database.close(),
      write: async (...args) => {
        this.change();
        await database.write(...args);
      },
    };
  }

  private change(): void {
    if (this.changesLeft <= 0) throw new Error('the process has ended');
    this.changesLeft--;
  }
}
