import type { ActorId, LogIndex, Term } from '../../../src/base/index.js';
import { type Invariant, Violation } from './invariant.js';

/**
 * Terms never decrease, across crashes; a commit index not within a process; a
 * match index not within a leader's term, as long as the follower stays a member.
 */
export function nothingGoesBack(): Invariant {
  const property = 'nothing goes back';
  const highest = new Map<string, number>();
  const rise = (what: string, value: number): void => {
    const before = highest.get(what) ?? 0;
    if (value < before) throw new Violation(property, `${what} went from ${before} to ${value}`);
    if (value > before) highest.set(what, value);
  };
  /** Whom each leader replicated to when it was last looked at. */
  const matched = new Map<ActorId, readonly ActorId[]>();
  const matchOf = (peer: ActorId, leader: ActorId, term: Term): string => `the match index of ${peer} at ${leader} in term ${term}`;
  const commitOf = (actor: ActorId): string => `the commit index of ${actor}`;
  return {
    property,
    started(node) {
      highest.delete(commitOf(node.self));
    },
    stepped({ self, core, disk }) {
      rise(`the term of ${self} on disk`, disk.hardState.term);
      rise(commitOf(self), core.commitIndex);
      const matches = core.matchIndexes() ?? new Map<ActorId, LogIndex>();
      for (const peer of matched.get(self) ?? []) if (!matches.has(peer)) highest.delete(matchOf(peer, self, core.term));
      for (const [peer, index] of matches) rise(matchOf(peer, self, core.term), index);
      matched.set(self, [...matches.keys()]);
    },
  };
}
