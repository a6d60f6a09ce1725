import { FlotillaError, LIMITS } from '../base/index.js';
import { excerpt } from './excerpt.js';

/** The stream that always exists. */
export const DEFAULT_STREAM = 'default';

const STREAM_NAME = /^[A-Za-z0-9._-]+$/;

/** Throws INVALID_ARGUMENT, which names `field`, unless `name` may name a stream. */
export function checkStreamName(name: string, field: string): void {
  if (name.length <= LIMITS.streamNameLength && STREAM_NAME.test(name)) return;
  throw new FlotillaError(
    'INVALID_ARGUMENT',
    `${field}: ${excerpt(name)} is not a stream name: write 1 to ${LIMITS.streamNameLength} of A-Z, a-z, 0-9, ` +
      '".", "_" and "-"',
  );
}
