import { isUtf8 } from 'node:buffer';
import { FlotillaError, viewOf } from '../base/index.js';

const NIL = 0xc0;

/**
 * Reads the five kinds of MessagePack values that a body is made of (nil,
 * unsigned numbers, text, binary, arrays), each in its shortest form, and
 * throws INVALID_ARGUMENT for everything else, whatever the bytes.
 *
 * msgpackr writes bodies but does not read them: on bytes from a client its
 * reader would follow extension and record definitions, recurse as deep as
 * they say, take invalid UTF-8 for U+FFFD, and drop a leading U+FEFF.
 */
export class BodyCursor {
  private readonly bytes: Buffer;
  private readonly view: DataView;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.view = viewOf(bytes);
  }

  /** Steps over a nil, where there is one. */
  skipNil(): boolean {
    if (this.bytes[this.at] !== NIL) return false;
    this.at++;
    return true;
  }

  nextIsBinary(): boolean {
    const kind = this.bytes[this.at] ?? 0;
    return kind >= 0xc4 && kind <= 0xc6;
  }

  /** An unsigned number below 2^32. */
  number(what: string): number {
    const kind = this.uint8(what);
    if (kind < 0x80) return kind;
    if (kind === 0xcc) return atLeast(this.uint8(what), 0x80, what);
    if (kind === 0xcd) return atLeast(this.uint16(what), 2 ** 8, what);
    if (kind === 0xce) return atLeast(this.uint32(what), 2 ** 16, what);
    throw malformed(`${what} is not a number`);
  }

  text(what: string): string {
    const length = this.textLength(what);
    const start = this.at;
    const end = this.advance(length, what);
    for (let at = start; at < end; at++) {
      if ((this.bytes[at] ?? 0) < 0x80) continue;
      if (!isUtf8(this.bytes.subarray(start, end))) throw malformed(`${what} is not UTF-8`);
      return this.bytes.toString('utf8', start, end);
    }
    return this.bytes.toString('latin1', start, end);
  }

  /** A view, no copy. */
  binary(what: string): Buffer {
    const kind = this.uint8(what);
    let length: number;
    if (kind === 0xc4) length = this.uint8(what);
    else if (kind === 0xc5) length = atLeast(this.uint16(what), 2 ** 8, what);
    else if (kind === 0xc6) length = atLeast(this.uint32(what), 2 ** 16, what);
    else throw malformed(`${what} is not binary`);
    const start = this.at;
    return this.bytes.subarray(start, this.advance(length, what));
  }

  /** Number of elements that follow; at most `max`. */
  array(what: string, max: number): number {
    const kind = this.uint8(what);
    let length: number;
    if (kind >= 0x90 && kind <= 0x9f) length = kind & 0x0f;
    else if (kind === 0xdc) length = atLeast(this.uint16(what), 16, what);
    else if (kind === 0xdd) length = atLeast(this.uint32(what), 2 ** 16, what);
    else throw malformed(`${what} is not an array`);
    // Each element takes a byte at least: nothing is allocated for elements that can't be there.
    if (length > max || length > this.bytes.byteLength - this.at) throw malformed(`${what} has ${length} elements`);
    return length;
  }

  /** Refuses what stands after the last value. */
  end(): void {
    if (this.at !== this.bytes.byteLength) throw malformed(`${this.bytes.byteLength - this.at} bytes follow its end`);
  }

  private textLength(what: string): number {
    const kind = this.uint8(what);
    if (kind >= 0xa0 && kind <= 0xbf) return kind & 0x1f;
    if (kind === 0xd9) return atLeast(this.uint8(what), 32, what);
    if (kind === 0xda) return atLeast(this.uint16(what), 2 ** 8, what);
    if (kind === 0xdb) return atLeast(this.uint32(what), 2 ** 16, what);
    throw malformed(`${what} is not text`);
  }

  private uint8(what: string): number {
    return this.view.getUint8(this.advance(1, what) - 1);
  }

  private uint16(what: string): number {
    return this.view.getUint16(this.advance(2, what) - 2);
  }

  private uint32(what: string): number {
    return this.view.getUint32(this.advance(4, what) - 4);
  }

  /** The position after the next `length` bytes. */
  private advance(length: number, what: string): number {
    if (length > this.bytes.byteLength - this.at) throw malformed(`it ends within ${what}`);
    this.at += length;
    return this.at;
  }
}

export function malformed(why: string): FlotillaError {
  return new FlotillaError('INVALID_ARGUMENT', `packed.body: not a batch body: ${why}`);
}

/** A longer form than the value needs would be a second encoding of the same events. */
function atLeast(value: number, min: number, what: string): number {
  if (value < min) throw malformed(`${what} is not in its shortest form`);
  return value;
}
