import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** A writer that held a longer message gives up its memory. */
const KEPT_BYTES = 512 * 1024;

let kept: BinaryWriter | undefined;

/**
 * The bytes of a message, in memory of their own. One writer serves all messages:
 * a new one grows by doubling, and what it outgrows is as much as the message
 * again, and more, for V8 to collect.
 */
export function encodeMessage<T>(type: { encode(message: T, writer: BinaryWriter): BinaryWriter }, message: T): Buffer {
  const writer = kept ?? new BinaryWriter();
  // One that failed halfway is of no more use.
  kept = undefined;
  const bytes = type.encode(message, writer).finish();
  if (bytes.byteLength <= KEPT_BYTES) kept = writer;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
