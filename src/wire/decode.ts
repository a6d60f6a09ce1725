import { BinaryReader } from '@bufbuild/protobuf/wire';
import { FlotillaError, messageOf } from '../base/index.js';

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const decodeUtf8 = (bytes: Uint8Array): string => strictUtf8.decode(bytes);

/**
 * Decodes a protobuf message that someone else wrote, strictly: text that is no
 * UTF-8, a 64-bit number above 2^53, a cut message or bytes after its end are
 * refused with INVALID_ARGUMENT instead of being replaced, rounded or ignored.
 */
export function decodeMessage<T>(type: { decode(input: BinaryReader): T }, bytes: Uint8Array): T {
  const reader = new BinaryReader(bytes, decodeUtf8);
  let message: T;
  try {
    message = type.decode(reader);
  } catch (error) {
    throw malformed(messageOf(error), error);
  }
  // The generated decoder stops without complaint at a tag that can't be one.
  if (reader.pos !== reader.len) throw malformed(`${reader.len - reader.pos} bytes at its end belong to no field`);
  return message;
}

function malformed(why: string, cause?: unknown): FlotillaError {
  return new FlotillaError('INVALID_ARGUMENT', `the message is not well-formed protobuf: ${why}`, { cause });
}
