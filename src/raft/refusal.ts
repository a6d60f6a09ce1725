import { type ActorId, FlotillaError, LIMITS } from '../base/index.js';
import type { Message } from './messages.js';
import type { ServerState } from './server-state.js';

/**
 * Throws INVALID_ARGUMENT where no member that works as it should can have sent the message: it must not be stepped in.
 */
export function requirePlausible({ term, log, role }: ServerState, from: ActorId, message: Message): void {
  const refused = (why: string): FlotillaError =>
    new FlotillaError('INVALID_ARGUMENT', `message of actor ${from}: ${why}`);
  if (message.term > term + LIMITS.termsAhead) throw refused(`term ${message.term} can't have come after ${term}`);
  const isAcknowledgement =
    message.type === 'append-result' && message.accepted && message.term === term && role.name === 'leader';
  if (isAcknowledgement && message.index > log.lastIndex)
    throw refused(`entry ${message.index} is not in this leader's log`);
}
