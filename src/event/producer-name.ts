import { FlotillaError, LIMITS } from '../base/index.js';
import { excerpt } from './excerpt.js';

const PRODUCER_NAME = /^[A-Za-z0-9._-]+$/;

/** Throws INVALID_ARGUMENT, which names `field`, unless `name` may name a producer. */
export function checkProducerName(name: string, field: string): void {
  if (name.length <= LIMITS.producerNameLength && PRODUCER_NAME.test(name)) return;
  throw new FlotillaError(
    'INVALID_ARGUMENT',
    `${field}: ${excerpt(name)} is not a producer name: write 1 to ${LIMITS.producerNameLength} of A-Z, a-z, ` +
      '0-9, ".", "_" and "-"',
  );
}
