import { BinaryReader } from '@bufbuild/protobuf/wire';
import { FlotillaError, messageOf } from '../base/index.js';

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const decodeUtf8 = (bytes: Uint8Array): string => strictUtf8.decode(bytes);

/** A generated message type. */
interface Decodes<T> {
  decode(input: BinaryReader): T;
}

/**
 * Decodes a protobuf message that someone else wrote, strictly: text that is no
 * UTF-8, a 64-bit number above 2^53, a cut message or bytes after its end are
 * refused with INVALID_ARGUMENT instead of being replaced, rounded or ignored.
 * What a node takes in goes through `scanMessage` before.
 */
export function decodeMessage<T>(type: Decodes<T>, bytes: Uint8Array): T {
  return decode(type, new BinaryReader(bytes, decodeUtf8));
}

/** The same for a message that `scanMessage` let through: what is above 2^53 - 1 there means no limit. */
export function decodeScanned<T>(type: Decodes<T>, bytes: Uint8Array): T {
  return decode(type, new SaturatingReader(bytes, decodeUtf8));
}

function decode<T>(type: Decodes<T>, reader: BinaryReader): T {
  let message: T;
  try {
    message = type.decode(reader);
  } catch (error) {
    throw malformedMessage(messageOf(error), error);
  }
  // The generated decoder stops without complaint at a tag that can't be one.
  if (reader.pos !== reader.len)
    throw malformedMessage(`${reader.len - reader.pos} bytes at its end belong to no field`);
  return message;
}

class SaturatingReader extends BinaryReader {
  override int64(): bigint | string {
    const value = super.int64();
    if (typeof value === 'string' || value <= Number.MAX_SAFE_INTEGER) return value;
    return BigInt(Number.MAX_SAFE_INTEGER);
  }
}

const MALFORMED = 'the message is not well-formed protobuf: ';

export function malformedMessage(why: string, cause?: unknown): FlotillaError {
  return new FlotillaError('INVALID_ARGUMENT', `${MALFORMED}${why}`, { cause });
}

/** Whether nothing of a message can be relied on; else it is a message, and one of its values is refused. */
export function isMalformed(error: FlotillaError): boolean {
  return error.message.startsWith(MALFORMED);
}
