import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { FlotillaError, messageOf, viewOf } from '../base/index.js';
import { makeDirectories } from '../storage/directory/index.js';
import { type Disk, readCheckedFile, replaceCheckedFile } from '../storage/disk/index.js';
import { lockDirectory, nodeDisk } from '../storage/level/index.js';
import {
  type Checkpoint,
  decodeCheckpoint,
  follows,
  type LogRecord,
  type LogTail,
  openRecord,
  RECORD_HEADER_BYTES,
  tailAfter,
} from '../wire/index.js';

const BACKUP_FORMAT = 1;
const MANIFEST = 'manifest';
const RECORDS_PREFIX = 'records-';
const LOCK = 'lock';
export const CHECKPOINT = 'checkpoint';

/** What a file of a backup must be. */
export interface BackupFile {
  readonly name: string;
  readonly bytes: number;
  /** 64 hexadecimal digits. */
  readonly sha256: string;
}

/** Consecutive records, back to back, each in its envelope. */
export interface RecordsFile extends BackupFile {
  /** What its last record is; its first one follows that of the file before. */
  readonly tail: LogTail;
}

/** What a backup consists of: what it does not name does not count. */
export interface BackupManifest {
  readonly format: typeof BACKUP_FORMAT;
  readonly stream: string;
  /** 32 hexadecimal digits each. */
  readonly clusterId: string;
  readonly incarnation: string;
  /** When it was written, ISO 8601. */
  readonly takenAt: string;
  /** Whether a majority confirmed that nothing acknowledged before was missing. */
  readonly confirmed: boolean;
  /** What the first record builds on: `before` of the checkpoint. */
  readonly begin: LogTail;
  readonly checkpoint: BackupFile;
  readonly files: readonly RecordsFile[];
}

/**
 * A backup of one stream, in a folder:
 *
 *     manifest               a checked file: what belongs to the backup
 *     checkpoint             what the first record builds on, as it travels between nodes
 *     records-<from>-<to>    records, by their indexes in 16 digits each
 *     lock/                  held while a backup is written
 *
 * Files are never changed: they are made under another name, fsynced, renamed,
 * and count once a manifest names them. So a crash leaves the backup before or
 * a later one, each of them whole.
 */
export class BackupFolder {
  readonly path: string;
  readonly disk: Disk;
  private current: BackupManifest | undefined;

  private constructor(path: string, disk: Disk, manifest: BackupManifest | undefined) {
    this.path = path;
    this.disk = disk;
    this.current = manifest;
  }

  /** Without a manifest where there is no backup yet. Throws DATA_LOSS where the manifest is damaged. */
  static async open(path: string, disk: Disk = nodeDisk): Promise<BackupFolder> {
    return new BackupFolder(
      path,
      disk,
      await readCheckedFile<BackupManifest>(disk, join(path, MANIFEST), BACKUP_FORMAT),
    );
  }

  get manifest(): BackupManifest | undefined {
    return this.current;
  }

  /** The manifest of a backup that must be there. */
  requireManifest(): BackupManifest {
    if (this.current !== undefined) return this.current;
    throw new FlotillaError('INVALID_ARGUMENT', `${this.path} holds no backup: its file "${MANIFEST}" is missing`);
  }

  /** Durable when it resolves; what it names must be. */
  async writeManifest(manifest: Omit<BackupManifest, 'format'>): Promise<void> {
    const written: BackupManifest = { format: BACKUP_FORMAT, ...manifest };
    await replaceCheckedFile(this.disk, join(this.path, MANIFEST), written);
    this.current = written;
  }

  /** Removes what an interrupted backup left, and files that later ones have taken the place of. */
  async removeLeftovers(): Promise<void> {
    const named = new Set([this.current?.checkpoint.name, ...(this.current?.files ?? []).map(({ name }) => name)]);
    for (const name of await this.disk.list(this.path)) {
      if (name !== LOCK && isOurs(name) && !named.has(name)) await this.disk.remove(join(this.path, name));
    }
  }

  async readCheckpoint(): Promise<Checkpoint> {
    const { checkpoint, begin } = this.requireManifest();
    const decoded = decodeCheckpoint(await this.readWhole(checkpoint));
    if (decoded.before.index !== begin.index || decoded.before.checksum !== begin.checksum)
      throw this.damage(checkpoint, 'it is not what the first record builds on');
    return decoded;
  }

  /** The records of a file, verified; `before` is what the first of them must follow. */
  async readRecords(file: RecordsFile, before: LogTail): Promise<LogRecord[]> {
    const content = await this.readWhole(file);
    const records: LogRecord[] = [];
    let tail = before;
    for (const bytes of envelopesOf(content)) {
      const record = this.open(file, bytes);
      if (!follows(tail, record))
        throw this.damage(file, `record ${record.index} does not continue record ${tail.index}`);
      tail = tailAfter(record);
      records.push(record);
    }
    if (tail.index !== file.tail.index || tail.checksum !== file.tail.checksum)
      throw this.damage(file, `it ends with record ${tail.index}, where the manifest tells of ${file.tail.index}`);
    return records;
  }

  /** All records, in order, verified, a file at a time. */
  async *records(): AsyncGenerator<LogRecord[], void, undefined> {
    const { begin, files } = this.requireManifest();
    let before = begin;
    for (const file of files) {
      yield await this.readRecords(file, before);
      before = file.tail;
    }
  }

  private open(file: BackupFile, bytes: Uint8Array): LogRecord {
    try {
      return openRecord(bytes);
    } catch (error) {
      if (error instanceof FlotillaError && error.code !== 'DATA_LOSS') throw error;
      throw this.damage(file, messageOf(error), error);
    }
  }

  private async readWhole(file: BackupFile): Promise<Uint8Array> {
    const content = await this.disk.readFile(join(this.path, file.name));
    if (content === undefined) throw this.damage(file, 'it is missing');
    if (content.byteLength !== file.bytes)
      throw this.damage(file, `it has ${content.byteLength} bytes instead of ${file.bytes}`);
    if (sha256Of(content) !== file.sha256) throw this.damage(file, 'its SHA-256 is not that of the manifest');
    return content;
  }

  private damage(file: BackupFile, what: string, cause?: unknown): FlotillaError {
    return new FlotillaError('DATA_LOSS', `${join(this.path, file.name)} is damaged: ${what}`, { cause });
  }
}

export function recordsFileName(from: number, to: number): string {
  return `${RECORDS_PREFIX}${String(from).padStart(16, '0')}-${String(to).padStart(16, '0')}`;
}

/** What a backup ends with. */
export function tailOf({ begin, files }: Pick<BackupManifest, 'begin' | 'files'>): LogTail {
  return files.at(-1)?.tail ?? begin;
}

export function sha256Of(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** What stands back to back; the last piece is what is left where it is no whole envelope. */
function* envelopesOf(content: Uint8Array): Generator<Uint8Array, void, undefined> {
  const view = viewOf(content);
  for (let offset = 0; offset < content.byteLength; ) {
    const rest = content.byteLength - offset;
    const length =
      rest < RECORD_HEADER_BYTES ? rest : Math.min(rest, RECORD_HEADER_BYTES + view.getUint32(offset + 4, true));
    yield content.subarray(offset, offset + length);
    offset += length;
  }
}

/**
 * Makes the folder where it is missing, and keeps other backups out of it until
 * the returned function is called. Throws INVALID_ARGUMENT where it is in use, or
 * holds what is no backup.
 */
export async function holdBackupFolder(path: string): Promise<() => Promise<void>> {
  await makeDirectories(path);
  const names = await nodeDisk.list(path);
  const foreign = names.includes(MANIFEST) ? undefined : names.find((name) => !isOurs(name));
  if (foreign !== undefined)
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `${path} holds no backup, but ${JSON.stringify(foreign)}: name an empty directory, or a new one`,
    );
  const lock = await lockDirectory(join(path, LOCK));
  if (lock === undefined) throw new FlotillaError('INVALID_ARGUMENT', `another backup to ${path} is under way`);
  return () => lock.release();
}

/** What an interrupted first backup may leave. */
function isOurs(name: string): boolean {
  return name === LOCK || name === CHECKPOINT || name.startsWith(RECORDS_PREFIX) || name.endsWith('.tmp');
}
