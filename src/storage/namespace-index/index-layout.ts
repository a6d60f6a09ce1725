import { crc32 } from 'node:zlib';
import {
  FlotillaError,
  type LogIndex,
  logIndex,
  readUint64,
  type Term,
  term,
  viewOf,
  writeUint64,
} from '../../base/index.js';
import { ByteSink, ByteSource } from './byte-sink.js';

/**
 * A sealed segment's `namespaces` file says which of its records hold which
 * namespaces. Numbers are little-endian; a varint is LEB128.
 *
 *     header     64 bytes, see below
 * copies     of each run its events once more, sorted by namespace, where that saves reading (wire/gathered-events.ts)
 *     directory  a row per namespace, ascending by bytes, in blocks of about 4 KiB, each with its CRC-32 behind it
 *     top        the runs and, of each block, its first namespace and its length; CRC-32
 *
 * Header:
 *
 *     offset  size
 *          0     2  format, 1
 *          2     2  0
 *          4     4  number of rows
 *          8     8  index of the segment's last record …
 *         16     8  … its term …
 *         24     4  … and its checksum: an index of another history is none
 *         28     4  CRC-32 of everything behind the header
 *         32     8  where the directory begins
 *         40     8  where the top begins
 *         48     4  length of the top
 *         52     8  0
 *         60     4  CRC-32 of bytes 0 to 59
 *
 * It is made under another name and gets its own when it is whole and fsynced.
 * Everything in it comes from the records, and every byte is under a checksum
 * that is looked at before it is believed: where anything is wrong, the file is
 * made anew, and the records are read until then.
 */
export const INDEX_HEADER_BYTES = 64;
const INDEX_FORMAT = 1;

/** The last record that an index knows of. */
export interface IndexedTail {
  readonly index: LogIndex;
  readonly term: Term;
  readonly checksum: number;
}

export interface IndexHeader {
  readonly rows: number;
  readonly tail: IndexedTail;
  readonly checksum: number;
  readonly directoryAt: number;
  readonly topAt: number;
  readonly topBytes: number;
}

export function encodeHeader(header: IndexHeader): Buffer {
  const bytes = Buffer.alloc(INDEX_HEADER_BYTES);
  const view = viewOf(bytes);
  view.setUint16(0, INDEX_FORMAT, true);
  view.setUint32(4, header.rows, true);
  writeUint64(view, 8, header.tail.index);
  writeUint64(view, 16, header.tail.term);
  view.setUint32(24, header.tail.checksum, true);
  view.setUint32(28, header.checksum, true);
  writeUint64(view, 32, header.directoryAt);
  writeUint64(view, 40, header.topAt);
  view.setUint32(48, header.topBytes, true);
  view.setUint32(60, crc32(bytes.subarray(0, 60)), true);
  return bytes;
}

/** Undefined where it is damaged, or of another format: an index is made anew then. */
export function decodeHeader(bytes: Uint8Array): IndexHeader | undefined {
  if (bytes.byteLength < INDEX_HEADER_BYTES) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(60, true) !== crc32(bytes.subarray(0, 60)) || view.getUint16(0, true) !== INDEX_FORMAT)
    return undefined;
  return {
    rows: view.getUint32(4, true),
    tail: {
      index: logIndex(readUint64(view, 8)),
      term: term(readUint64(view, 16)),
      checksum: view.getUint32(24, true),
    },
    checksum: view.getUint32(28, true),
    directoryAt: readUint64(view, 32),
    topAt: readUint64(view, 40),
    topBytes: view.getUint32(48, true),
  };
}

/** Consecutive records of the segment. */
export interface IndexedRun {
  readonly firstIndex: LogIndex;
  readonly recordBytes: number;
}

/** A part of the directory. */
export interface DirectoryBlock {
  readonly firstName: Buffer;
  readonly offset: number;
  readonly length: number;
}

export interface IndexTop {
  readonly runs: readonly IndexedRun[];
  readonly blocks: readonly DirectoryBlock[];
}

export function encodeTop({ runs, blocks }: IndexTop): Buffer {
  const sink = new ByteSink(4096);
  sink.varint(runs.length);
  for (const { firstIndex, recordBytes } of runs) {
    sink.varint(firstIndex);
    sink.varint(recordBytes);
  }
  sink.varint(blocks.length);
  for (const { firstName, length } of blocks) {
    sink.prefixed(firstName);
    sink.varint(length);
  }
  return withChecksum(sink);
}

export function decodeTop(bytes: Uint8Array, directoryAt: number): IndexTop {
  const source = new ByteSource(checked(bytes, 'top'));
  const runs: IndexedRun[] = [];
  for (let left = source.varint(); left > 0; left--) {
    const firstIndex = logIndex(source.varint());
    runs.push({ firstIndex, recordBytes: source.varint() });
  }
  const blocks: DirectoryBlock[] = [];
  let offset = directoryAt;
  for (let left = source.varint(); left > 0; left--) {
    const firstName = source.prefixed();
    const length = source.varint();
    blocks.push({ firstName, offset, length });
    offset += length;
  }
  return { runs, blocks };
}

/** A copy of what was written, and its CRC-32 behind it. */
export function withChecksum(sink: ByteSink): Buffer {
  sink.uint32(crc32(sink.bytes));
  return Buffer.from(sink.bytes);
}

/** The content before its CRC-32. Throws DATA_LOSS where they do not fit. */
export function checked(bytes: Uint8Array, what: string): Uint8Array {
  const end = bytes.byteLength - 4;
  if (end >= 0 && viewOf(bytes).getUint32(end, true) === crc32(bytes.subarray(0, end))) return bytes.subarray(0, end);
  throw new FlotillaError('DATA_LOSS', `the ${what} of a namespace index is damaged`);
}
