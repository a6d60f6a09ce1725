import { crc32 } from 'node:zlib';
import { FlotillaError } from '../../base/index.js';
import type { Disk, DiskFile } from '../disk/index.js';
import {
  checked,
  type DirectoryBlock,
  decodeHeader,
  decodeTop,
  INDEX_HEADER_BYTES,
  type IndexedTail,
  type IndexHeader,
  type IndexTop,
} from './index-layout.js';
import { type Extent, type NamespaceRow, RowReader } from './namespace-row.js';

/** One read of {@link IndexFile.verify}. */
const VERIFY_BYTES = 64 * 1024;

/** A directory that is no larger, with the top behind it, comes in one read with that. */
const SMALL_DIRECTORY_BYTES = 64 * 1024;

/** An index that is open for reading. Everything but the header is read when it is asked for. */
export class IndexFile {
  readonly header: IndexHeader;
  private readonly file: DiskFile;
  /** Directory and top, where they were read together. */
  private held: { readonly offset: number; readonly bytes: Buffer } | undefined;

  private constructor(file: DiskFile, header: IndexHeader) {
    this.file = file;
    this.header = header;
  }

  /** Undefined where there is none that knows exactly the records up to `tail`. */
  static async open(disk: Disk, path: string, tail: IndexedTail): Promise<IndexFile | undefined> {
    const file = await disk.openFile(path);
    if (file === undefined) return undefined;
    const header = decodeHeader(await file.read(INDEX_HEADER_BYTES));
    const fits =
      header?.tail.index === tail.index && header.tail.term === tail.term && header.tail.checksum === tail.checksum;
    if (header !== undefined && fits) return new IndexFile(file, header);
    await file.close();
    return undefined;
  }

  async top(): Promise<IndexTop> {
    const { topAt, topBytes, directoryAt } = this.header;
    const length = topAt + topBytes - directoryAt;
    if (length <= SMALL_DIRECTORY_BYTES)
      this.held = { offset: directoryAt, bytes: await this.bytes({ offset: directoryAt, length }) };
    return decodeTop(await this.bytes({ offset: topAt, length: topBytes }), directoryAt);
  }

  /** The rows of a block, ascending. */
  async rows(block: DirectoryBlock): Promise<NamespaceRow[]> {
    const reader = new RowReader(checked(await this.bytes(block), 'directory'));
    const rows: NamespaceRow[] = [];
    for (let row = reader.next(); row !== undefined; row = reader.next()) rows.push(row);
    return rows;
  }

  /** The bytes as they stand in the file: the reader checks them. */
  async bytes({ offset, length }: Extent): Promise<Buffer> {
    const { held } = this;
    if (held !== undefined && offset >= held.offset && offset + length <= held.offset + held.bytes.byteLength) {
      return held.bytes.subarray(offset - held.offset, offset - held.offset + length);
    }
    const bytes = await this.file.read(length, offset);
    if (bytes.byteLength === length) return Buffer.from(bytes.buffer, bytes.byteOffset, length);
    throw new FlotillaError('DATA_LOSS', `a namespace index ends at byte ${offset + bytes.byteLength}`);
  }

  /** Reads all of it. Throws DATA_LOSS where a byte is not what was written. */
  async verify(): Promise<void> {
    const { topAt, topBytes, checksum } = this.header;
    const end = topAt + topBytes;
    let found = 0;
    for (let offset = INDEX_HEADER_BYTES; offset < end; offset += VERIFY_BYTES) {
      found = crc32(await this.bytes({ offset, length: Math.min(VERIFY_BYTES, end - offset) }), found);
    }
    if (found !== checksum) throw new FlotillaError('DATA_LOSS', 'a namespace index is damaged');
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/** Runs an action with the index open; undefined where there is none. */
export type WithIndex = <Result>(action: (file: IndexFile) => Promise<Result>) => Promise<Result | undefined>;

/** The blocks that may hold names with this prefix, from `after` on where that is given. */
export function blocksFor(top: IndexTop, prefix: Buffer, after: Buffer = prefix): readonly DirectoryBlock[] {
  const { blocks } = top;
  const start = Buffer.compare(after, prefix) > 0 ? after : prefix;
  const first = Math.max(0, firstWhere(blocks, ({ firstName }) => Buffer.compare(firstName, start) > 0) - 1);
  const end = firstWhere(
    blocks,
    ({ firstName }) => Buffer.compare(firstName.subarray(0, prefix.byteLength), prefix) > 0,
  );
  return blocks.slice(first, end);
}

export function hasPrefix(name: Buffer, prefix: Buffer): boolean {
  return name.byteLength >= prefix.byteLength && name.compare(prefix, 0, prefix.byteLength, 0, prefix.byteLength) === 0;
}

/** Position of the first value for which `holds`, which is false for the first ones and true from some on. */
function firstWhere<Value>(values: readonly Value[], holds: (value: Value) => boolean): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const value = values[middle];
    if (value !== undefined && holds(value)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Throws DATA_LOSS where there is an index that is not what was written for the records up to `tail`. */
export async function verifyIndex(disk: Disk, path: string, tail: IndexedTail): Promise<void> {
  const index = await IndexFile.open(disk, path, tail);
  try {
    if (index !== undefined) await index.verify();
    else if ((await disk.readFile(path)) !== undefined)
      throw new FlotillaError('DATA_LOSS', `${path} is damaged, or of other records`);
  } finally {
    await index?.close();
  }
}
