import type { CoreNode } from '../../raft/core-node.js';
import { type ClusterView, type Invariant, Violation } from './invariant.js';

/** What anybody calls committed is on the disks of a majority at that moment. */
export function committedIsDurable(): Invariant {
  const property = 'committed is durable on a majority';
  let checked = 0;
  const check = (node: CoreNode, { voters, servers }: ClusterView): void => {
    for (; checked < node.core.commitIndex; checked++) {
      const entry = node.entries[checked];
      const holders = voters.filter((voter) => servers.get(voter)?.disk.entries[checked]?.term === entry?.term);
      if (holders.length * 2 > voters.length) continue;
      throw new Violation(
        property,
        `${node.self} has committed entry ${checked + 1} of term ${entry?.term}, which is on the disks of [${holders}] of [${voters}]`,
      );
    }
  };
  return { property, stepped: check };
}
