import type { ActorId, Term } from '../../../src/base/index.js';
import type { CoreNode, LogEntry } from '../../raft/core-node.js';
import { type Invariant, Violation } from './invariant.js';

interface CommittedEntry extends LogEntry {
  /** The term whose leader committed it. */
  readonly byTerm: Term;
}

/**
 * State machine safety and leader completeness (dissertation, figure 3.2): all
 * servers commit the same entry at an index, none writes over it, and every
 * leader of a later term has it.
 */
export function committedEntriesStay(): Invariant {
  const property = 'committed entries stay';
  const committed: CommittedEntry[] = [];
  const seen = new Map<ActorId, number>();
  const leaders = new Set<Term>();

  const same = (node: CoreNode, through: number): void => {
    for (let index = (seen.get(node.self) ?? 0) + 1; index <= through; index++) {
      const entry = node.entries[index - 1];
      const before = committed[index - 1];
      if (entry === undefined)
        throw new Violation(property, `${node.self} has committed ${index}, and its log ends at ${node.entries.length}`);
      if (before === undefined) committed.push({ ...entry, byTerm: node.core.term });
      else if (before.term !== entry.term || before.data !== entry.data) {
        throw new Violation(property, `${node.self} has committed ${describe(entry)}; before that ${describe(before)} was`);
      }
    }
    seen.set(node.self, through);
  };

  const complete = (node: CoreNode): void => {
    if (node.core.role !== 'leader' || leaders.has(node.core.term)) return;
    leaders.add(node.core.term);
    const missing = committed.find((entry) => entry.byTerm < node.core.term && node.entries[entry.index - 1]?.term !== entry.term);
    if (missing !== undefined)
      throw new Violation(
        property,
        `${node.self} leads term ${node.core.term} and lacks ${describe(missing)}, committed in term ${missing.byTerm}`,
      );
  };

  return {
    property,
    started(node) {
      seen.set(node.self, 0);
      same(node, node.core.commitIndex);
    },
    stepped(node) {
      const before = seen.get(node.self) ?? 0;
      if (node.changedFrom <= before)
        throw new Violation(property, `${node.self} wrote over entry ${node.changedFrom}, and ${before} is committed there`);
      if (node.core.commitIndex < before)
        throw new Violation(property, `the commit index of ${node.self} went from ${before} to ${node.core.commitIndex}`);
      same(node, node.core.commitIndex);
      complete(node);
    },
  };
}

function describe({ index, term, data }: LogEntry): string {
  return `entry ${index} of term ${term} (${data})`;
}
