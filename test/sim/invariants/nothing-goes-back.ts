import type { ActorId } from '../../../src/base/index.js';
import { type Invariant, Violation } from './invariant.js';

/** Terms never decrease, across crashes; a commit index not within a process; a match index not within a leader's term. */
export function nothingGoesBack(): Invariant {
  const property = 'nothing goes back';
  const highest = new Map<string, number>();
  const rise = (what: string, value: number): void => {
    const before = highest.get(what) ?? 0;
    if (value < before) throw new Violation(property, `${what} went from ${before} to ${value}`);
    if (value > before) highest.set(what, value);
  };
  const commitOf = (actor: ActorId): string => `the commit index of ${actor}`;
  return {
    property,
    started(node) {
      highest.delete(commitOf(node.self));
    },
    stepped({ self, core, disk }) {
      rise(`the term of ${self} on disk`, disk.hardState.term);
      rise(commitOf(self), core.commitIndex);
      for (const [peer, index] of core.matchIndexes() ?? []) rise(`the match index of ${peer} at ${self} in term ${core.term}`, index);
    },
  };
}
