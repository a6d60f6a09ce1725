import type { ActorId, Term } from '../../base/index.js';
import { Violation } from '../violation.js';
import type { Invariant } from './invariant.js';

/**
 * A server gives one vote per term, whatever crashes lie between (section 3.4). A candidate's request is a vote for
 * itself.
 */
export function oneVotePerTerm(): Invariant {
  const property = 'one vote per term';
  const votes = new Map<string, ActorId>();
  const cast = (voter: ActorId, term: Term, candidate: ActorId): void => {
    const key = `${voter} ${term}`;
    const before = votes.get(key) ?? candidate;
    if (before !== candidate)
      throw new Violation(property, `${voter} voted for ${before} and for ${candidate} in term ${term}`);
    votes.set(key, candidate);
  };
  return {
    property,
    sent({ from, to, message }) {
      if (message.type === 'vote-response' && message.granted && !message.preVote) cast(from, message.term, to);
      if (message.type === 'vote-request' && !message.preVote) cast(from, message.term, from);
    },
  };
}
