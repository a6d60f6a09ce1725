import type { ActorId, Term } from '../../base/index.js';
import { Violation } from '../violation.js';
import type { Invariant } from './invariant.js';

/** Election safety (dissertation, figure 3.2). */
export function oneLeaderPerTerm(): Invariant {
  const property = 'one leader per term';
  const leaders = new Map<Term, ActorId>();
  return {
    property,
    stepped({ actor, stream }) {
      if (stream?.group.role !== 'leader') return;
      const leader = leaders.get(stream.group.term) ?? actor;
      if (leader !== actor) throw new Violation(property, `${leader} and ${actor} both lead term ${stream.group.term}`);
      leaders.set(stream.group.term, actor);
    },
  };
}
