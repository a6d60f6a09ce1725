import { assert } from '../../base/index.js';

/** Bytes that grow at their end: fixed numbers are little-endian, others take as many bytes as they need (LEB128). */
export class ByteSink {
  private buffer: Buffer;
  private end = 0;

  constructor(capacityBytes: number) {
    this.buffer = Buffer.allocUnsafe(capacityBytes);
  }

  get length(): number {
    return this.end;
  }

  /** A view that holds until something is written. */
  get bytes(): Buffer {
    return this.buffer.subarray(0, this.end);
  }

  clear(): void {
    this.end = 0;
  }

  uint8(value: number): void {
    this.reserve(1);
    this.buffer[this.end++] = value;
  }

  uint16(value: number): void {
    this.reserve(2);
    this.end = this.buffer.writeUInt16LE(value, this.end);
  }

  uint32(value: number): void {
    this.reserve(4);
    this.end = this.buffer.writeUInt32LE(value, this.end);
  }

  /** A whole number of up to 53 bits. */
  varint(value: number): void {
    assert(value >= 0 && value <= Number.MAX_SAFE_INTEGER, `${value} can't be written as a varint`);
    this.reserve(8);
    let rest = value;
    while (rest >= 2 ** 31) {
      this.buffer[this.end++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest >= 0x80) {
      this.buffer[this.end++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.buffer[this.end++] = rest;
  }

  raw(content: Uint8Array): void {
    this.reserve(content.byteLength);
    this.buffer.set(content, this.end);
    this.end += content.byteLength;
  }

  /** Content behind its length. */
  prefixed(content: Uint8Array): void {
    this.varint(content.byteLength);
    this.raw(content);
  }

  private reserve(bytes: number): void {
    const needed = this.end + bytes;
    if (needed <= this.buffer.byteLength) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.buffer.byteLength * 2));
    this.buffer.copy(larger, 0, 0, this.end);
    this.buffer = larger;
  }
}

/** Reads what a {@link ByteSink} wrote; its checksum has been verified, so that reading past the end is a defect. */
export class ByteSource {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.at >= this.bytes.byteLength;
  }

  uint8(): number {
    return this.bytes.readUInt8(this.advance(1));
  }

  uint16(): number {
    return this.bytes.readUInt16LE(this.advance(2));
  }

  uint32(): number {
    return this.bytes.readUInt32LE(this.advance(4));
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.bytes[this.advance(1)] ?? 0;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  /** A view, no copy. */
  raw(length: number): Buffer {
    const start = this.advance(length);
    return this.bytes.subarray(start, this.at);
  }

  prefixed(): Buffer {
    return this.raw(this.varint());
  }

  /** The position before the next `length` bytes. */
  private advance(length: number): number {
    const start = this.at;
    assert(start + length <= this.bytes.byteLength, 'what was written ends before what is read');
    this.at += length;
    return start;
  }
}
