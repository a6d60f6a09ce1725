import type { CoreNode } from '../../raft/core-node.js';
import { type Invariant, Violation } from './invariant.js';

/**
 * Two logs that hold an entry with the same index and term are equal up to it
 * (dissertation, figure 3.2). By induction it is enough that index and term
 * settle the entry's body and the term of the entry before it.
 */
export function logMatching(): Invariant {
  const property = 'log matching';
  const known = new Map<string, string>();
  const check = ({ self, entries, changedFrom }: CoreNode): void => {
    for (const entry of entries.slice(Math.min(changedFrom, entries.length + 1) - 1)) {
      const key = `${entry.index}/${entry.term}`;
      const content = `${entry.data} after term ${entries[entry.index - 2]?.term ?? 0}`;
      const before = known.get(key) ?? content;
      if (before !== content) throw new Violation(property, `${self} has at ${key}: ${content}; elsewhere stands: ${before}`);
      known.set(key, content);
    }
  };
  return { property, stepped: check, started: check };
}
