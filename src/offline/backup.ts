import { resolve } from 'node:path';
import { FlotillaError, messageOf } from '../base/index.js';
import type { FlotillaClient, LogStart } from '../client/index.js';
import type { LogTail } from '../wire/index.js';
import { BackupFolder, type BackupManifest, holdBackupFolder, type RecordsFile, tailOf } from './backup-folder.js';
import { BackupWriter } from './backup-writer.js';

/** What a backup holds. */
export interface BackupSummary {
  readonly directory: string;
  readonly stream: string;
  readonly clusterId: string;
  readonly incarnation: string;
  /** When it was taken, ISO 8601. */
  readonly takenAt: string;
  /** Whether a majority confirmed that nothing acknowledged before was missing. */
  readonly confirmed: boolean;
  /** Of the log entries that it holds; `lastIndex` is the commit index it was taken at. */
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Of the events that it holds; the last is below the first where it has none. */
  readonly firstCounter: number;
  readonly lastCounter: number;
  readonly files: number;
  readonly bytes: number;
}

export interface BackupOptions {
  readonly client: FlotillaClient;
  readonly stream: string;
  readonly directory: string;
  /** Called with how many bytes have come, and how far the copy is. */
  readonly onProgress?: (progress: {
    readonly bytes: number;
    readonly index: number;
    readonly through: number;
  }) => void;
}

/** What one run has added. */
export interface BackupRun {
  readonly backup: BackupSummary;
  readonly addedRecords: number;
  readonly addedBytes: number;
}

/**
 * Backs up a stream while it is used, or adds to a backup what is new. Throws
 * INVALID_ARGUMENT where the directory holds anything else, and
 * POSITION_MISMATCH or POSITION_REMOVED where the stream does not continue the
 * backup.
 */
export async function backUp({ client, stream, directory, onProgress }: BackupOptions): Promise<BackupRun> {
  const path = resolve(directory);
  const release = await holdBackupFolder(path);
  try {
    const folder = await BackupFolder.open(path);
    const { manifest } = folder;
    if (manifest !== undefined && manifest.stream !== stream)
      throw new FlotillaError(
        'INVALID_ARGUMENT',
        `${path} is a backup of stream ${manifest.stream}: use another directory for ${stream}`,
      );
    const after = manifest === undefined ? undefined : { tail: tailOf(manifest), incarnation: manifest.incarnation };
    let run: { readonly start: LogStart; readonly writer: BackupWriter } | undefined;
    let addedRecords = 0;
    let addedBytes = 0;
    for await (const part of client.readLog({ after })) {
      if (part.kind === 'start') {
        const { start } = part;
        const { clusterId, incarnation, checkpoint } = start;
        const now = (): string => new Date().toISOString();
        run = {
          start,
          writer: await BackupWriter.begin({ folder, subject: { stream, clusterId, incarnation }, checkpoint, now }),
        };
        continue;
      }
      if (run === undefined) throw new FlotillaError('INTERNAL', 'records came before what they build on');
      for (const record of part.records) {
        const full = run.writer.add(record);
        if (full !== undefined) await full;
        addedBytes += record.bytes.byteLength;
      }
      addedRecords += part.records.length;
      onProgress?.({ bytes: addedBytes, index: part.records.at(-1)?.index ?? 0, through: run.start.throughIndex });
    }
    if (run === undefined) throw new FlotillaError('INTERNAL', 'the copy ended before it began');
    return { backup: summaryOf(path, await run.writer.finish(run.start.confirmed)), addedRecords, addedBytes };
  } catch (error) {
    throw error instanceof FlotillaError ? explained(error, path) : unwritable(error, path);
  } finally {
    await release();
  }
}

/** Reads a backup whole. Damage is told of, each with its file; what can be read beside it is. */
export async function verifyBackup(
  directory: string,
  onProgress?: (progress: { readonly bytes: number; readonly of: number }) => void,
): Promise<{ readonly backup: BackupSummary; readonly damages: readonly string[] }> {
  const path = resolve(directory);
  const folder = await BackupFolder.open(path);
  const manifest = folder.requireManifest();
  const damages: string[] = [];
  const note = (error: unknown): void => {
    if (!(error instanceof FlotillaError) || error.code !== 'DATA_LOSS') throw error;
    damages.push(error.message);
  };
  await folder.readCheckpoint().catch(note);
  const backup = summaryOf(path, manifest);
  let before: LogTail = manifest.begin;
  let bytes = 0;
  for (const file of manifest.files) {
    await folder.readRecords(file, before).catch(note);
    before = file.tail;
    bytes += file.bytes;
    onProgress?.({ bytes, of: backup.bytes });
  }
  return { backup, damages };
}

export function summaryOf(directory: string, manifest: BackupManifest): BackupSummary {
  const { stream, clusterId, incarnation, takenAt, confirmed, begin, files } = manifest;
  const tail = tailOf(manifest);
  return {
    directory,
    stream,
    clusterId,
    incarnation,
    takenAt,
    confirmed,
    firstIndex: begin.index + 1,
    lastIndex: tail.index,
    lastTerm: tail.term,
    firstCounter: begin.nextCounter,
    lastCounter: tail.nextCounter - 1,
    files: files.length,
    bytes: files.reduce((sum: number, { bytes }: RecordsFile) => sum + bytes, 0),
  };
}

/** What a refusal means to whoever holds the backup. */
function explained(error: FlotillaError, path: string): FlotillaError {
  const why = {
    POSITION_MISMATCH:
      `the stream does not continue the backup in ${path}: it was restored or recovered since, or it is another ` +
      `cluster's`,
    POSITION_REMOVED: `the stream has given up records that the backup in ${path} lacks`,
  } as const;
  if (error.code !== 'POSITION_MISMATCH' && error.code !== 'POSITION_REMOVED') return error;
  const message = `${why[error.code]}: begin a new backup in an empty directory, and keep this one (${error.message})`;
  return new FlotillaError(error.code, message, { cause: error });
}

function unwritable(error: unknown, path: string): FlotillaError {
  return new FlotillaError(
    'INTERNAL',
    `the backup in ${path} could not be written, and is as it was: ${messageOf(error)}`,
    {
      cause: error,
    },
  );
}
