import type { Seat } from '../base/index.js';
import type { Message } from '../raft/index.js';

/*
 * An actor id may be given to another node than before, and the log of each group comes to that at its own time. A peer
 * that stands in for the node which a group's log still names is listened to as a leader or candidate and answered, and
 * nothing else: by this node's configuration its vote and what it holds would count for the node before it, which may
 * have promised, or acknowledged, what this one knows nothing of.
 */

/** What leaders and candidates say. */
const LEADING: ReadonlySet<Message['type']> = new Set([
  'vote-request',
  'append',
  'heartbeat',
  'snapshot',
  'timeout-now',
  'read-index-response',
]);

/** Whether a group may send this to the peer. `seat`: the node that the group's log means by the peer's actor id. */
export function mayTell({ type }: Message, peer: Seat, seat: Seat | undefined): boolean {
  return !LEADING.has(type) || !isStandIn(peer, seat);
}

/** Whether a group may take this from the peer; `seat` as for {@link mayTell}. */
export function mayHear({ type }: Message, peer: Seat, seat: Seat | undefined): boolean {
  return LEADING.has(type) || !isStandIn(peer, seat);
}

function isStandIn({ instance }: Seat, seat: Seat | undefined): boolean {
  return seat !== undefined && seat.instance !== instance;
}
