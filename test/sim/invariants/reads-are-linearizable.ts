import { type Invariant, Violation } from './invariant.js';

/** A confirmed read index is not below what was committed anywhere when it was asked for (section 6.4). */
export function readsAreLinearizable(): Invariant {
  const property = 'reads are linearizable';
  let committed = 0;
  const asked = new Map<number, number>();
  return {
    property,
    stepped({ core }) {
      committed = Math.max(committed, core.commitIndex);
    },
    readAsked(requestId) {
      asked.set(requestId, committed);
    },
    readConfirmed(requestId, index) {
      const least = asked.get(requestId) ?? 0;
      if (index < least)
        throw new Violation(property, `read ${requestId} was confirmed at ${index}; when it was asked, ${least} was committed`);
    },
  };
}
