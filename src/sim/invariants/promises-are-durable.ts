import { Violation } from '../violation.js';
import type { Invariant } from './invariant.js';

/** No message leaves that speaks of a term, a vote or a record which a crash could undo (section 3.8). */
export function promisesAreDurable(): Invariant {
  const property = 'no message promises what is not durable';
  return {
    property,
    sent({ from, to, message }, { storedHardState, stored }) {
      const { term, vote } = storedHardState;
      // A granted pre-vote, and the request for one, name a term that no server is in yet.
      const isPreVote =
        (message.type === 'vote-request' && message.preVote) || (message.type === 'vote-response' && message.preVote);
      if (!isPreVote && message.term > term)
        throw new Violation(
          property,
          `${from} sent a ${message.type} of term ${message.term}; its disk knows term ${term}`,
        );
      if (
        message.type === 'vote-response' &&
        message.granted &&
        !message.preVote &&
        term === message.term &&
        vote !== to
      )
        throw new Violation(property, `${from} voted for ${to} in term ${term}; on its disk the vote is ${vote}`);
      if (message.type === 'append-result' && message.accepted && message.index > stored.length)
        throw new Violation(property, `${from} acknowledged record ${message.index}; its disk holds ${stored.length}`);
    },
  };
}
