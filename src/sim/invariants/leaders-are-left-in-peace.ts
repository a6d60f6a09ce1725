import type { ActorId } from '../../base/index.js';
import { Violation } from '../violation.js';
import type { Invariant } from './invariant.js';

/**
 * A server that hears its leader grants no pre-vote: a server that was cut off or
 * removed would depose a leader that all others hear (sections 4.2.3 and 9.6).
 * What counts is when the request came: the answer may wait for the disk.
 */
export function leadersAreLeftInPeace(electionTimeoutMs: number): Invariant {
  const property = 'no pre-vote while a leader is heard';
  const heardMs = new Map<ActorId, number>();
  /** Requests that came while no leader was heard: voter, candidate, term. */
  const fair = new Set<string>();
  return {
    property,
    started(node) {
      heardMs.delete(node.actor);
    },
    received({ from, message }, { actor, stream }, localMs) {
      if (stream === undefined) return;
      if (message.type === 'append' || message.type === 'heartbeat') {
        if (message.term >= stream.group.term) heardMs.set(actor, localMs);
      } else if (message.type === 'vote-request' && message.preVote) {
        const sinceMs = localMs - (heardMs.get(actor) ?? Number.NEGATIVE_INFINITY);
        // A leader that campaigns leads no more.
        if (stream.group.leader === undefined || stream.group.leader === from || sinceMs >= electionTimeoutMs)
          fair.add(`${actor} ${from} ${message.term}`);
      }
    },
    sent({ from, to, message }, { stream }) {
      if (message.type !== 'vote-response' || !message.preVote || !message.granted) return;
      if (!fair.has(`${from} ${to} ${message.term}`))
        throw new Violation(
          property,
          `${from} granted ${to} a pre-vote for term ${message.term}, and hears leader ${stream?.group.leader}`,
        );
    },
  };
}
