import { assert } from './assert.js';

/** Bytes with a DataView over exactly them. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const TWO_POW_32 = 2 ** 32;

/** Little-endian unsigned 64 bits; only values that a number holds exactly. */
export function writeUint64(view: DataView, offset: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, `not an unsigned safe integer: ${value}`);
  view.setUint32(offset, value % TWO_POW_32, true);
  view.setUint32(offset + 4, Math.floor(value / TWO_POW_32), true);
}

/** The inverse of {@link writeUint64}; above 2^53 the result is not exact and fails `Number.isSafeInteger`. */
export function readUint64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * TWO_POW_32;
}

/**
 * Text that consists of ASCII alone, such as JSON of numbers and names of ours, where nothing else is at hand to encode
 * it.
 */
export function asciiBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    assert(unit < 0x80, `not ASCII: ${unit}`);
    bytes[at] = unit;
  }
  return bytes;
}

/** The inverse of {@link asciiBytes}. */
export function asciiText(bytes: Uint8Array): string {
  let text = '';
  for (let from = 0; from < bytes.length; from += ASCII_CHUNK)
    text += String.fromCharCode(...bytes.subarray(from, from + ASCII_CHUNK));
  return text;
}

/** So many arguments may be given to a function on every stack. */
const ASCII_CHUNK = 8192;
