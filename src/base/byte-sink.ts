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
    const { buffer, end } = this;
    buffer[end] = value;
    buffer[end + 1] = value >>> 8;
    buffer[end + 2] = value >>> 16;
    buffer[end + 3] = value >>> 24;
    this.end = end + 4;
  }

  /** A whole number of up to 53 bits. */
  varint(value: number): void {
    this.reserve(8);
    const { buffer } = this;
    let { end } = this;
    if (value >= 0 && value < 0x80) {
      buffer[end] = value;
      this.end = end + 1;
      return;
    }
    assert(value >= 0 && value <= Number.MAX_SAFE_INTEGER, 'no whole number of up to 53 bits');
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
    if (this.end + bytes > this.buffer.length) this.grow(this.end + bytes);
  }

  private grow(needed: number): void {
    const larger = new Uint8Array(Math.max(needed, this.buffer.length * 2));
    larger.set(this.bytes);
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
    const low = this.byte() | (this.byte() << 8) | (this.byte() << 16);
    return (low | (this.byte() << 24)) >>> 0;
  }

  varint(): number {
    const first = this.byte();
    if (first < 0x80) return first;
    // In integers as far as their bits reach: that is where most numbers end.
    let low = first & 0x7f;
    for (let shift = 7; shift < 28; shift += 7) {
      const byte = this.byte();
      if (byte < 0x80) return low | (byte << shift);
      low |= (byte & 0x7f) << shift;
    }
    let value = low;
    for (let factor = 2 ** 28; ; factor *= 128) {
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
