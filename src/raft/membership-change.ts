import { type ActorId, FlotillaError } from '../base/index.js';
import { isJoint, sameActors } from './configuration.js';
import type { Configuration } from './types.js';

/** One step of a change: what an actor is to be from now on. */
export interface MemberChange {
  readonly actor: ActorId;
  readonly to: 'voter' | 'learner' | 'removed';
}

/**
 * The configuration that `changes` lead to, all at once. Where they change the voters it is joint (dissertation,
 * section 4.3): until it is left, decisions need a majority of the voters before and one of those after. Learners alone
 * change at once, because they count for nothing.
 *
 * Throws INVALID_ARGUMENT where `current` is joint itself, where nothing would change, where an actor is named twice or
 * is no member, and where no server would be left to vote.
 */
export function changeConfiguration(current: Configuration, changes: readonly MemberChange[]): Configuration {
  if (isJoint(current)) throw refused('another change of the members is under way');
  const voters = new Set(current.voters);
  const learners = new Set(current.learners);
  const named = new Set<ActorId>();
  for (const { actor, to } of changes) {
    if (named.has(actor)) throw refused(`actor ${actor} is named twice`);
    named.add(actor);
    if (to === 'removed' && !voters.has(actor) && !learners.has(actor)) throw refused(`actor ${actor} is no member`);
    voters.delete(actor);
    learners.delete(actor);
    if (to === 'voter') voters.add(actor);
    else if (to === 'learner') learners.add(actor);
  }
  if (voters.size === 0) throw refused('no voter would be left');
  const next = { voters: ascending(voters), learners: ascending(learners) };
  const sameVoters = sameActors(next.voters, current.voters);
  if (sameVoters && sameActors(next.learners, current.learners)) throw refused('the members are that already');
  return { ...next, outgoing: sameVoters ? [] : current.voters };
}

/** What follows a joint configuration once that is committed. */
export function leaveJoint({ voters, learners }: Configuration): Configuration {
  return { voters, outgoing: [], learners };
}

function ascending(actors: ReadonlySet<ActorId>): ActorId[] {
  return [...actors].sort((a, b) => a - b);
}

function refused(why: string): FlotillaError {
  return new FlotillaError('INVALID_ARGUMENT', why);
}
