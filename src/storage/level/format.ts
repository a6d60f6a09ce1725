import { crc32c } from '@node-rs/crc32';

/** Reads LevelDB's encodings from first to last. Throws a RangeError where there is less than asked for. */
export class FormatReader {
  private readonly bytes: Uint8Array;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.at >= this.bytes.byteLength;
  }

  /** Seven bits a byte, the lowest first. */
  varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 63; scale *= 128) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) break;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new RangeError('a number has no end');
  }

  /** Bytes behind their number. */
  prefixed(): Uint8Array {
    const length = this.varint();
    const taken = this.bytes.subarray(this.at, this.at + length);
    if (taken.byteLength < length) throw new RangeError(`${length} bytes at ${this.at} reach past the end`);
    this.at += length;
    return taken;
  }

  /** So many bytes into `target`, from `offset` on. */
  copy(length: number, target: Uint8Array, offset: number): void {
    for (let copied = 0; copied < length; copied++) {
      const byte = this.bytes[this.at++];
      if (byte === undefined || offset + copied >= target.byteLength)
        throw new RangeError(`${length} bytes are too many`);
      target[offset + copied] = byte;
    }
  }
}

/** LevelDB turns the CRC-32C of what may itself hold one: 15 bits to the right, plus a constant. */
export function maskedChecksum(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** LevelDB adds so much to a key: what was done when. */
const KEY_SUFFIX_BYTES = 8;
const INDEX_BYTES = 8;

/**
 * The greatest index with a key that is not behind the given one, as LevelDB keeps it. Where LevelDB makes one up to
 * stand between two keys, it may be shorter than they are, and is then before all that begin with it.
 */
export function lastIndexUpTo(internalKey: Uint8Array, keyBytes = internalKey.byteLength): number {
  const given = Math.min(INDEX_BYTES, keyBytes - KEY_SUFFIX_BYTES);
  let index = 0;
  for (let at = 0; at < INDEX_BYTES; at++) index = index * 256 + (at < given ? (internalKey[at] ?? 0) : 0);
  return given < INDEX_BYTES ? index - 1 : index;
}
