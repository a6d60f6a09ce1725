import type { ObservedNode } from '../observed-node.js';
import { Violation } from '../violation.js';
import type { Invariant } from './invariant.js';

/**
 * Two logs that hold a record with the same index and term are equal up to it
 * (dissertation, figure 3.2). A record's checksum is chained through everything
 * before it, so it is enough that index and term settle the checksum.
 */
export function logMatching(): Invariant {
  const property = 'log matching';
  const known = new Map<number, number>();
  const check = ({ actor, records, changedFrom }: ObservedNode): void => {
    for (let position = changedFrom - 1; position < records.length; position++) {
      const record = records[position];
      if (record === undefined) continue;
      const { index, term, checksum } = record;
      const key = term * 2 ** 32 + index;
      const before = known.get(key) ?? checksum;
      if (before !== checksum)
        throw new Violation(
          property,
          `${actor} has another history up to record ${index} of term ${term} than was seen elsewhere`,
        );
      known.set(key, checksum);
    }
  };
  return { property, started: check, stepped: check };
}
