import { join } from 'node:path';
import { FlotillaError, LIMITS } from '../base/index.js';
import { replaceFile } from '../storage/disk/index.js';
import { decodeCheckpoint, type LogRecord, type LogTail, tailAfter } from '../wire/index.js';
import {
  type BackupFolder,
  type BackupManifest,
  CHECKPOINT,
  type RecordsFile,
  recordsFileName,
  sha256Of,
  tailOf,
} from './backup-folder.js';

/** What a backup is taken of. */
export type BackupSubject = Pick<BackupManifest, 'stream' | 'clusterId' | 'incarnation'>;

export interface BackupWriterOptions {
  readonly folder: BackupFolder;
  readonly subject: BackupSubject;
  /** What the first record builds on, encoded; only for a folder without a backup. */
  readonly checkpoint: Uint8Array | undefined;
  /** ISO 8601 text of now. */
  readonly now: () => string;
  /** Default: `LIMITS.backupFileBytes`. */
  readonly fileBytes?: number;
}

/**
 * Adds records to a backup. After each file the manifest is written anew:
 * whatever ends this leaves a whole backup, of fewer records, which the next
 * one goes on from.
 */
export class BackupWriter {
  private readonly folder: BackupFolder;
  private readonly now: () => string;
  private readonly fileBytes: number;
  private readonly buffer: Buffer;
  private used = 0;
  /** What the records in `buffer` build on. */
  private before: LogTail;
  private tail: LogTail;
  private manifest: Omit<BackupManifest, 'format'>;
  /** The last file, while its records are in `buffer`, too. */
  private superseded: RecordsFile | undefined;

  private constructor(
    { folder, now, fileBytes = LIMITS.backupFileBytes }: BackupWriterOptions,
    manifest: Omit<BackupManifest, 'format'>,
  ) {
    this.folder = folder;
    this.now = now;
    this.fileBytes = fileBytes;
    this.buffer = Buffer.allocUnsafe(fileBytes);
    this.manifest = manifest;
    this.tail = tailOf(manifest);
    this.before = this.tail;
  }

  static async begin(options: BackupWriterOptions): Promise<BackupWriter> {
    const { folder, subject, checkpoint, now } = options;
    await folder.removeLeftovers();
    const { manifest } = folder;
    if (manifest !== undefined) {
      const writer = new BackupWriter(options, manifest);
      await writer.takeUpSmallFile();
      return writer;
    }
    if (checkpoint === undefined)
      throw new FlotillaError('INTERNAL', 'a new backup needs what its first record builds on');
    await replaceFile(folder.disk, join(folder.path, CHECKPOINT), checkpoint);
    return new BackupWriter(options, {
      ...subject,
      takenAt: now(),
      confirmed: false,
      begin: decodeCheckpoint(checkpoint).before,
      checkpoint: { name: CHECKPOINT, bytes: checkpoint.byteLength, sha256: sha256Of(checkpoint) },
      files: [],
    });
  }

  /** The record that follows the last one. A promise where a file is full and is written. */
  add(record: LogRecord): Promise<void> | undefined {
    const { bytes } = record;
    if (this.used > 0 && this.used + bytes.byteLength > this.fileBytes)
      return this.flush(false).then(() => this.add(record));
    this.tail = tailAfter(record);
    if (bytes.byteLength > this.fileBytes) return this.writeFile(bytes, false);
    this.buffer.set(bytes, this.used);
    this.used += bytes.byteLength;
    return undefined;
  }

  /** Durable when it resolves. */
  async finish(confirmed: boolean): Promise<BackupManifest> {
    const isNamed = await this.flush(confirmed);
    if (!isNamed) await this.name(this.manifest.files, confirmed);
    await this.folder.removeLeftovers();
    return this.folder.requireManifest();
  }

  /** So that many small backups do not become many small files. */
  private async takeUpSmallFile(): Promise<void> {
    const last = this.manifest.files.at(-1);
    if (last === undefined || last.bytes > this.fileBytes / 4) return;
    const before = tailOf({ ...this.manifest, files: this.manifest.files.slice(0, -1) });
    for (const { bytes } of await this.folder.readRecords(last, before)) {
      this.buffer.set(bytes, this.used);
      this.used += bytes.byteLength;
    }
    this.before = before;
    this.superseded = last;
  }

  /** Whether there was something to write. */
  private async flush(confirmed: boolean): Promise<boolean> {
    const isNew = this.used > 0 && this.superseded?.tail.index !== this.tail.index;
    if (isNew) await this.writeFile(this.buffer.subarray(0, this.used), confirmed);
    this.used = 0;
    this.before = this.tail;
    this.superseded = undefined;
    return isNew;
  }

  private async writeFile(content: Uint8Array, confirmed: boolean): Promise<void> {
    const name = recordsFileName(this.before.index + 1, this.tail.index);
    await replaceFile(this.folder.disk, join(this.folder.path, name), content);
    const kept = this.manifest.files.filter((file) => file !== this.superseded);
    this.before = this.tail;
    await this.name(
      [...kept, { name, bytes: content.byteLength, sha256: sha256Of(content), tail: this.tail }],
      confirmed,
    );
  }

  private async name(files: readonly RecordsFile[], confirmed: boolean): Promise<void> {
    this.manifest = { ...this.manifest, files, confirmed, takenAt: this.now() };
    await this.folder.writeManifest(this.manifest);
  }
}
