import type { ActorId, LogIndex, Term } from '../../base/index.js';
import { Violation } from '../violation.js';
import type { Invariant } from './invariant.js';

/** What a leader knows a member to hold never shrinks within its term, as long as that stays a member. */
export function matchIndexRises(): Invariant {
  const property = 'the match index never goes back';
  const known = new Map<ActorId, { readonly term: Term; readonly matches: ReadonlyMap<ActorId, LogIndex> }>();
  return {
    property,
    stepped({ actor, stream }) {
      if (stream?.group.role !== 'leader') return;
      const matches = stream.group.matchIndexes() ?? new Map<ActorId, LogIndex>();
      const before = known.get(actor);
      known.set(actor, { term: stream.group.term, matches });
      if (before?.term !== stream.group.term) return;
      for (const [peer, index] of matches) {
        const least = before.matches.get(peer) ?? 0;
        if (index < least)
          throw new Violation(
            property,
            `that of ${peer} at ${actor} in term ${stream.group.term} went from ${least} to ${index}`,
          );
      }
    },
  };
}
