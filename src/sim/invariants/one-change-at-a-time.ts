import { Violation } from '../violation.js';
import type { Invariant } from './invariant.js';

/**
 * A leader changes the members only where the change before is committed, and
 * with it a record of its own term: only then does it know (section 4.1, and
 * Ongaro's correction of it, raft-dev 2015).
 */
export function oneChangeAtATime(): Invariant {
  const property = 'one change of the members at a time';
  return {
    property,
    stepped({ actor, stream, records, changedFrom }) {
      if (stream?.group.role !== 'leader') return;
      for (let position = changedFrom - 1; position < records.length; position++) {
        const record = records[position];
        if (record?.kind !== 'configuration' || record.term !== stream.group.term) continue;
        const before = records.findLast(({ kind, index }) => kind === 'configuration' && index < record.index);
        if (before !== undefined && before.index > stream.group.commitIndex)
          throw new Violation(
            property,
            `${actor} changes the members in record ${record.index}, and record ${before.index} with the ` +
              'change before is not committed',
          );
        if (records[stream.group.commitIndex - 1]?.term !== stream.group.term)
          throw new Violation(
            property,
            `${actor} changes the members before a record of its term ${stream.group.term} is committed`,
          );
      }
    },
  };
}
