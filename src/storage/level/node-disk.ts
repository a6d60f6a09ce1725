import { writeSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { type Disk, type DiskFile, systemCodeOf } from '../disk/index.js';
import { createLevelDatabase, levelDatabaseIsEmpty, openLevelDatabase } from './level-database.js';

/** The node's file system, with LevelDB for databases. */
export const nodeDisk: Disk = {
  readFile: (path) => orUndefined(readFile(path)),
  async writeFile(path, content) {
    const file = await open(path, 'w', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  },
  async openFile(path) {
    const handle = await orUndefined(open(path, 'r+'));
    return handle === undefined ? undefined : new NodeFile(handle);
  },
  rename,
  remove: (path) => rm(path, { recursive: true, force: true }),
  makeDirectory: async (path) => {
    await mkdir(path, { mode: 0o700 });
  },
  list: (path) => readdir(path),
  syncDirectory,
  async createDatabase(path, options) {
    await mkdir(path, { mode: 0o700 });
    const database = await createLevelDatabase(path, options);
    await syncDirectory(path);
    return database;
  },
  openDatabase: openLevelDatabase,
  databaseIsEmpty: levelDatabaseIsEmpty,
};

class NodeFile implements DiskFile {
  private readonly handle: FileHandle;

  constructor(handle: FileHandle) {
    this.handle = handle;
  }

  async read(bytes: number, position = 0): Promise<Uint8Array> {
    const content = Buffer.allocUnsafeSlow(bytes);
    const { bytesRead } = await this.handle.read(content, 0, bytes, position);
    return content.subarray(0, bytesRead);
  }

  write(content: Uint8Array, position: number): void {
    // A disk that runs full takes a part, and says why it took no more when it is asked again.
    for (let done = 0; done < content.byteLength; ) {
      done += writeSync(this.handle.fd, content, done, content.byteLength - done, position + done);
    }
  }

  sync(): Promise<void> {
    return this.handle.datasync();
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function orUndefined<Result>(action: Promise<Result>): Promise<Result | undefined> {
  try {
    return await action;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
