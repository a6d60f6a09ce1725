import type { Term } from '../../base/index.js';
import { Violation } from '../violation.js';
import type { CommittedHistory } from './committed-records-stay.js';
import type { Invariant } from './invariant.js';

/** Every leader holds what was committed in the terms before its own (dissertation, figure 3.2). */
export function leaderCompleteness(history: CommittedHistory): Invariant {
  const property = 'leader completeness';
  const leaders = new Set<Term>();
  return {
    property,
    stepped({ actor, stream, records }) {
      if (stream?.group.role !== 'leader' || leaders.has(stream.group.term)) return;
      leaders.add(stream.group.term);
      const { term } = stream.group;
      const position = history.terms.findLastIndex((each) => each < term);
      const last = history.records[position];
      // By the chain of checksums, the last stands for all before it.
      if (last !== undefined && records[position]?.checksum !== last.checksum)
        throw new Violation(
          property,
          `${actor} leads term ${term} and lacks record ${last.index} of term ${last.term}, committed before`,
        );
    },
  };
}
