import { assert } from './assert.js';

/** Bytes that grow at their end. Whole numbers take as many bytes as they need (LEB128), others are little-endian. */
export class ByteSink {
  private buffer: Uint8Array<ArrayBuffer>;
  private end = 0;

  constructor(capacityBytes = 256) {
    this.buffer = new Uint8Array(capacityBytes);
  }

  /** A view of what was written, which holds until more is. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.buffer.subarray(0, this.end);
  }

  uint32(value: number): void {
    this.reserve(4);
    for (let shift = 0; shift < 32; shift += 8) this.buffer[this.end++] = (value >>> shift) & 0xff;
  }

  /** A whole number of up to 53 bits. */
  varint(value: number): void {
    assert(value >= 0 && value <= Number.MAX_SAFE_INTEGER, 'no whole number of up to 53 bits');
    this.reserve(8);
    const { buffer } = this;
    let { end } = this;
    // Two integers, because V8 takes ten times as long over one of 53 bits.
    let low = value >>> 0;
    let high = (value - low) / 2 ** 32;
    for (; high > 0; high >>>= 7) {
      buffer[end++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
    }
    for (; low > 0x7f; low >>>= 7) buffer[end++] = (low & 0x7f) | 0x80;
    buffer[end++] = low;
    this.end = end;
  }

  /** Content behind its length. */
  prefixed(content: Uint8Array): void {
    this.varint(content.byteLength);
    this.reserve(content.byteLength);
    this.buffer.set(content, this.end);
    this.end += content.byteLength;
  }

  private reserve(bytes: number): void {
    const needed = this.end + bytes;
    if (needed <= this.buffer.byteLength) return;
    const larger = new Uint8Array(Math.max(needed, this.buffer.byteLength * 2));
    larger.set(this.buffer.subarray(0, this.end));
    this.buffer = larger;
  }
}

/** Reads what a {@link ByteSink} wrote. Its checksum has been verified, so reading past the end is a defect. */
export class ByteSource {
  private readonly bytes: Uint8Array;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get atEnd(): boolean {
    return this.at >= this.bytes.byteLength;
  }

  uint32(): number {
    let value = 0;
    for (let factor = 1; factor < 2 ** 32; factor *= 256) value += this.byte() * factor;
    return value;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      if (byte < 0x80) return value + byte * factor;
      value += (byte & 0x7f) * factor;
    }
  }

  /** A view, no copy. */
  prefixed(): Uint8Array {
    const length = this.varint();
    assert(this.at + length <= this.bytes.byteLength, 'what was written ends before what is read');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  private byte(): number {
    const byte = this.bytes[this.at++];
    assert(byte !== undefined, 'what was written ends before what is read');
    return byte;
  }
}
