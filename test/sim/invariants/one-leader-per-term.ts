import type { ActorId, Term } from '../../../src/base/index.js';
import { type Invariant, Violation } from './invariant.js';

/** Election safety (dissertation, figure 3.2). */
export function oneLeaderPerTerm(): Invariant {
  const property = 'one leader per term';
  const leaders = new Map<Term, ActorId>();
  return {
    property,
    stepped(node) {
      const { core, self } = node;
      if (core.role !== 'leader') return;
      const leader = leaders.get(core.term) ?? self;
      if (leader !== self) throw new Violation(property, `${leader} and ${self} both lead term ${core.term}`);
      leaders.set(core.term, self);
    },
  };
}
