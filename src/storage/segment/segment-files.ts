import { join } from 'node:path';
import { FlotillaError, type GroupId } from '../../base/index.js';
import type { LogOrigin } from '../../wire/index.js';
import { type Disk, readCheckedFile, replaceCheckedFile } from '../disk/index.js';

import type { ContentsSummary } from './segment-contents.js';

/**
 * A segment is a directory, named by its sequence in ten digits:
 *
 *     header      what the segment builds on; there from its first record on
 *     checkpoint  the group's state there; once all before is committed
 *     db/         LevelDB: index (8 bytes, big-endian) → record
 *     footer      what it holds; there while a younger segment exists
 *     namespaces  the namespace index; made some time after the footer
 */
const HEADER_FORMAT = 1;
const FOOTER_FORMAT = 1;
const SEQUENCE_DIGITS = 10;

/** What the segment's first record builds on, and which segment it is. */
export interface SegmentHeader extends LogOrigin {
  readonly format: typeof HEADER_FORMAT;
  readonly group: GroupId;
  /** The kind of state machine that the group runs. */
  readonly machine: string;
  readonly sequence: number;
}

export function originOf({ incarnation, before, membership, membershipIndex }: LogOrigin): LogOrigin {
  return { incarnation, before, membership, membershipIndex };
}

interface SegmentFooter extends ContentsSummary {
  readonly format: typeof FOOTER_FORMAT;
}

export function segmentName(sequence: number): string {
  return String(sequence).padStart(SEQUENCE_DIGITS, '0');
}

/** Undefined where the name is not a segment's. */
export function segmentSequenceOf(name: string): number | undefined {
  if (name.length !== SEQUENCE_DIGITS) return undefined;
  const sequence = Number(name);
  return Number.isSafeInteger(sequence) && sequence > 0 && segmentName(sequence) === name ? sequence : undefined;
}

export function databasePath(directory: string): string {
  return join(directory, 'db');
}

export function headerPath(directory: string): string {
  return join(directory, 'header');
}

export function footerPath(directory: string): string {
  return join(directory, 'footer');
}

/** Makes the header of a new segment durable: from here on its records count. */
export async function writeHeader(
  disk: Disk,
  directory: string,
  header: Omit<SegmentHeader, 'format'>,
): Promise<SegmentHeader> {
  const content: SegmentHeader = { format: HEADER_FORMAT, ...header };
  await replaceCheckedFile(disk, headerPath(directory), content);
  return content;
}

/** Undefined where there is none: the segment was opened ahead and never used. */
export async function readHeader(
  disk: Disk,
  directory: string,
  group: GroupId,
  sequence: number,
): Promise<SegmentHeader | undefined> {
  const header = await readCheckedFile<SegmentHeader>(disk, headerPath(directory), HEADER_FORMAT);
  if (header !== undefined && (header.group !== group || header.sequence !== sequence)) {
    throw new FlotillaError(
      'DATA_LOSS',
      `${directory} holds segment ${header.sequence} of group ${header.group}: it was copied or renamed`,
    );
  }
  return header;
}

export async function writeFooter(disk: Disk, directory: string, summary: ContentsSummary): Promise<void> {
  const { tail, bytes, eventBytes, termStarts, memberships, landmarks } = summary;
  const footer: SegmentFooter = { format: FOOTER_FORMAT, tail, bytes, eventBytes, termStarts, memberships, landmarks };
  await replaceCheckedFile(disk, footerPath(directory), footer);
}

/** Undefined where there is none. */
export async function readFooter(disk: Disk, directory: string): Promise<ContentsSummary | undefined> {
  return readCheckedFile<SegmentFooter>(disk, footerPath(directory), FOOTER_FORMAT);
}

/** Durably, before the segment is written to again. */
export async function removeFooter(disk: Disk, directory: string): Promise<void> {
  await disk.remove(footerPath(directory));
  await disk.syncDirectory(directory);
}
