import { type FileHandle, open } from 'node:fs/promises';
import { uncompress } from 'snappyjs';
import { messageOf, present, viewOf } from '../../base/index.js';
import { systemCodeOf } from '../disk/index.js';
import { FormatReader, lastIndexUpTo, maskedChecksum } from './format.js';
import type { LiveTable } from './manifest.js';

/** Keys that are not to be looked up, because of the block that they would be found in. */
export interface Hole {
  readonly from: number;
  readonly to: number;
  readonly what: string;
}

/** What is left of holes where `from`..`to` is none. */
export function without(holes: readonly Hole[], from: number, to: number): Hole[] {
  return holes
    .flatMap((hole) => [
      { ...hole, to: Math.min(hole.to, from - 1) },
      { ...hole, from: Math.max(hole.from, to + 1) },
    ])
    .filter((hole) => hole.from <= hole.to);
}

/**
 * Reads a table and compares every block with its checksum, which LevelDB does
 * not (doc/table_format.md). Ascending.
 */
export async function holesIn(table: LiveTable): Promise<Hole[]> {
  const hole = (from: number, to: number, what: string): Hole => ({ from, to, what: `${table.path}: ${what}` });
  let handle: FileHandle | undefined;
  try {
    handle = await open(table.path, 'r');
    const file = new TableFile(handle, table.bytes);
    const damaged = await damagedBlocks(file, await dataBlocks(file, table));
    return damaged.map((block) => hole(block.from, block.to, `the block at ${block.offset} is damaged`));
  } catch (error) {
    // LevelDB itself misses a file before it reads any.
    if (systemCodeOf(error) === 'ENOENT') return [];
    if (error instanceof TableDamage || systemCodeOf(error) === 'EISDIR')
      return [hole(table.first, table.last, messageOf(error))];
    throw error;
  } finally {
    await handle?.close();
  }
}

class TableDamage extends Error {}

/** A file that is to have so many bytes. */
class TableFile {
  readonly bytes: number;
  private readonly handle: FileHandle;

  constructor(handle: FileHandle, bytes: number) {
    this.handle = handle;
    this.bytes = bytes;
  }

  /**
   * Undefined where that is not all within it, or on a part of the disk that can't be read: mapped, as LevelDB has it,
   * that is a SIGBUS.
   */
  async read(offset: number, bytes: number): Promise<Buffer | undefined> {
    if (offset < 0 || offset + bytes > this.bytes) return undefined;
    const content = Buffer.allocUnsafeSlow(bytes);
    try {
      for (let done = 0; done < bytes; ) {
        const { bytesRead } = await this.handle.read(content, done, bytes - done, offset + done);
        if (bytesRead === 0) return undefined;
        done += bytesRead;
      }
      return content;
    } catch (error) {
      if (systemCodeOf(error) === 'EIO') return undefined;
      throw error;
    }
  }
}

interface Block {
  readonly offset: number;
  readonly bytes: number;
}

/** A block with the key that stands for it, which is none before its last. */
interface NamedBlock extends Block {
  readonly lastIndex: number;
}

interface DataBlock extends Block {
  readonly from: number;
  readonly to: number;
}

const FOOTER_BYTES = 48;
const MAGIC = 0xdb4775248b80fb57n;
/** Each block is followed by how it is compressed (1 byte) and a checksum of both (4 bytes). */
const TRAILER_BYTES = 5;
const UNCOMPRESSED = 0;

/**
 * Finds the blocks by the table's index. Throws {@link TableDamage} where what leads to the blocks is damaged itself.
 */
async function dataBlocks(file: TableFile, table: LiveTable): Promise<DataBlock[]> {
  const footer = await file.read(file.bytes - FOOTER_BYTES, FOOTER_BYTES);
  if (footer === undefined || viewOf(footer).getBigUint64(FOOTER_BYTES - 8, true) !== MAGIC)
    throw new TableDamage('it does not end as a table does');
  try {
    const reader = new FormatReader(footer);
    const [meta, index] = [blockOf(reader), blockOf(reader)];
    for (const filter of blocksNamedIn(await soundBlock(file, meta))) await soundBlock(file, filter);
    let from = table.first;
    return blocksNamedIn(await soundBlock(file, index)).map(({ offset, bytes, lastIndex }) => {
      const block = { offset, bytes, from, to: Math.min(lastIndex, table.last) };
      from = block.to + 1;
      return block;
    });
  } catch (error) {
    throw error instanceof RangeError ? new TableDamage(`its index can't be read: ${error.message}`) : error;
  }
}

function blockOf(reader: FormatReader): Block {
  return { offset: reader.varint(), bytes: reader.varint() };
}

/**
 * A block of keys and where what they stand for is; of each key, how much of the one before it shares, and the rest.
 */
function blocksNamedIn(block: Uint8Array): NamedBlock[] {
  const restarts = viewOf(block).getUint32(block.byteLength - 4, true);
  const reader = new FormatReader(block.subarray(0, block.byteLength - 4 * (restarts + 1)));
  const key = new Uint8Array(KEY_BYTES_MAX);
  const blocks: NamedBlock[] = [];
  while (!reader.isAtEnd) {
    const [shared, own] = [reader.varint(), reader.varint()];
    reader.varint(); // bytes of the value, which tells its own length
    reader.copy(own, key, shared);
    blocks.push({ lastIndex: lastIndexUpTo(key, shared + own), offset: reader.varint(), bytes: reader.varint() });
  }
  return blocks;
}

async function soundBlock(file: TableFile, { offset, bytes }: Block): Promise<Uint8Array> {
  const read = await file.read(offset, bytes + TRAILER_BYTES);
  if (read === undefined || !isSound(read, 0, bytes))
    throw new TableDamage(`the block at ${offset}, which leads to others, is damaged`);
  const block = read.subarray(0, bytes);
  try {
    return read[bytes] === UNCOMPRESSED ? block : uncompress(block);
  } catch (error) {
    throw new TableDamage(`the block at ${offset} is not what Snappy makes: ${messageOf(error)}`);
  }
}

function isSound(content: Buffer, from: number, bytes: number): boolean {
  const end = from + bytes + 1;
  return maskedChecksum(content.subarray(from, end)) === content.readUInt32LE(end);
}

/** They lie one behind the other, and are read many at a time. */
async function damagedBlocks(file: TableFile, blocks: readonly DataBlock[]): Promise<DataBlock[]> {
  const damaged: DataBlock[] = [];
  for (let first = 0, end = 0; first < blocks.length; first = end) {
    const { offset } = present(blocks[first], 'it is below the length');
    let length = 0;
    for (
      let next = blocks[end];
      next !== undefined && (end === first || endOf(next) - offset <= READ_BYTES);
      next = blocks[++end]
    )
      length = endOf(next) - offset;
    const content = await file.read(offset, length);
    for (const block of blocks.slice(first, end)) {
      const sound =
        content === undefined ? await isSoundAlone(file, block) : isSound(content, block.offset - offset, block.bytes);
      if (!sound) damaged.push(block);
    }
  }
  return damaged;
}

async function isSoundAlone(file: TableFile, { offset, bytes }: Block): Promise<boolean> {
  const content = await file.read(offset, bytes + TRAILER_BYTES);
  return content !== undefined && isSound(content, 0, bytes);
}

function endOf({ offset, bytes }: Block): number {
  return offset + bytes + TRAILER_BYTES;
}

/** Checksums of so many bytes take half a millisecond, which holds nothing else up. */
const READ_BYTES = 1024 * 1024;

/** The longest key that a table of ours has is the name of the filter. */
const KEY_BYTES_MAX = 256;
