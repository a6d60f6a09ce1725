import { crc32 } from 'node:zlib';
import { FlotillaError } from '../../base/index.js';
import type { Disk } from './disk.js';
import { replaceFile } from './durable-files.js';

/**
 * A small file that people may read and only Flotilla writes: one line of JSON, then the CRC-32 of that line in eight
 * hexadecimal digits and a line end. What follows after that belongs to the code that owns the file.
 */
export interface CheckedContent {
  readonly format: number;
}

const NOTHING = new Uint8Array(0);

/** Atomically replaces the file, or makes it. */
export async function replaceCheckedFile(
  disk: Disk,
  path: string,
  content: CheckedContent,
  rest = NOTHING,
): Promise<void> {
  await replaceFile(disk, path, encode(content, rest));
}

/**
 * Undefined where there is no such file. Throws DATA_LOSS where the content is
 * not what was written and FOREIGN_NODE where another version wrote it.
 */
export async function readCheckedFile<Content extends CheckedContent>(
  disk: Disk,
  path: string,
  format: Content['format'],
): Promise<Content | undefined> {
  return (await readCheckedFileAndRest<Content>(disk, path, format))?.content;
}

/** The same, with what follows the checksum's line. */
export async function readCheckedFileAndRest<Content extends CheckedContent>(
  disk: Disk,
  path: string,
  format: Content['format'],
): Promise<{ readonly content: Content; readonly rest: Uint8Array } | undefined> {
  const bytes = await disk.readFile(path);
  if (bytes === undefined) return undefined;
  const restAt = bytes.indexOf(LINE_END) + 1 + CHECKSUM_LINE_BYTES;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(restAt, bytes.byteLength)).toString();
  const json = text.slice(0, text.indexOf('\n'));
  const checksum = text.slice(json.length + 1, json.length + 9);
  if (json === '' || checksum !== checksumOf(json)) {
    throw new FlotillaError('DATA_LOSS', `${path} is damaged: its checksum does not fit its content`);
  }
  // The checksum has been verified: this is what `encode` wrote, of the format that is checked next.
  const content = JSON.parse(json) as Content;
  if (content.format !== format) {
    throw new FlotillaError(
      'FOREIGN_NODE',
      `${path} has format ${content.format}; this version reads format ${format}: use the Flotilla that wrote ` +
        'it, or a newer one',
    );
  }
  return { content, rest: bytes.subarray(restAt) };
}

const LINE_END = 0x0a;
/** Eight digits and a line end. */
const CHECKSUM_LINE_BYTES = 9;

function encode(content: CheckedContent, rest: Uint8Array): Buffer {
  const json = JSON.stringify(content);
  return Buffer.concat([Buffer.from(`${json}\n${checksumOf(json)}\n`), rest]);
}

function checksumOf(json: string): string {
  return crc32(json).toString(16).padStart(8, '0');
}
