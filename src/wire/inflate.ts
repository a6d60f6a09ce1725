import { gunzipSync, inflateSync } from 'node:zlib';
import { FlotillaError, messageOf } from '../base/index.js';

/** How a request may be compressed, by its name in gRPC. */
export type Compression = 'gzip' | 'deflate';

export function isCompression(name: string): name is Compression {
  return name === 'gzip' || name === 'deflate';
}

/** Undefined where it inflates to more than `bytesMax`; then no more than these were made. Throws INVALID_ARGUMENT. */
export function inflate(compression: Compression, bytes: Uint8Array, bytesMax: number): Buffer | undefined {
  try {
    return (compression === 'gzip' ? gunzipSync : inflateSync)(bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `the message can't be inflated as ${compression}: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
