import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { FlotillaError } from '../../base/index.js';
import type { LogTail } from '../../wire/index.js';
import { type Disk, readCheckedFileAndRest, replaceCheckedFile } from '../disk/index.js';

const FORMAT = 1;

/**
 * What a group's records up to a segment's begin have led to. A file of its own
 * beside the header: the header is there before the segment's first record, the
 * state only when all before that record is committed and applied, and the two
 * are never rewritten for each other's sake.
 *
 * A checked file, followed by the state. It says behind which record it stands: the checksum is chained through all
 * before, so it fits in no other place.
 */
interface CheckpointFile {
  readonly format: typeof FORMAT;
  readonly index: number;
  readonly term: number;
  readonly checksum: number;
  readonly stateBytes: number;
  /** CRC-32. */
  readonly stateChecksum: number;
}

/** Where a checkpoint belongs: a segment that begins after this record. */
export interface CheckpointPlace {
  readonly directory: string;
  readonly before: LogTail;
}

export const checkpointPath = (directory: string): string => join(directory, 'checkpoint');

/** Durable when it resolves; a crash leaves none, the one before, or this one. */
export async function writeCheckpoint(
  disk: Disk,
  { directory, before }: CheckpointPlace,
  state: Uint8Array,
): Promise<void> {
  const { index, term, checksum } = before;
  const content: CheckpointFile = {
    format: FORMAT,
    index,
    term,
    checksum,
    stateBytes: state.byteLength,
    stateChecksum: crc32(state),
  };
  await replaceCheckedFile(disk, checkpointPath(directory), content, Uint8Array.from(state));
}

/** The encoded state. Throws DATA_LOSS where there is none, or it is not what was written for this place. */
export async function readCheckpoint(disk: Disk, { directory, before }: CheckpointPlace): Promise<Uint8Array> {
  const path = checkpointPath(directory);
  const found = await readCheckedFileAndRest<CheckpointFile>(disk, path, FORMAT);
  if (found === undefined) throw new FlotillaError('DATA_LOSS', `${path} is missing`);
  const { content, rest } = found;
  const isWhole = content.stateBytes === rest.byteLength && content.stateChecksum === crc32(rest);
  if (!isWhole) throw new FlotillaError('DATA_LOSS', `${path} is damaged: its checksum does not fit its content`);
  const isOfPlace =
    content.index === before.index && content.term === before.term && content.checksum === before.checksum;
  if (!isOfPlace)
    throw new FlotillaError('DATA_LOSS', `${path} is of another place in the log: it was copied or renamed`);
  return rest;
}
