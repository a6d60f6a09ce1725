import type { ActorId } from '../../../src/base/index.js';
import { isQuorum } from '../../../src/raft/index.js';
import { type CoreNode, describeConfiguration } from '../../raft/core-node.js';
import { type ClusterView, type Invariant, Violation } from './invariant.js';

/**
 * What anybody calls committed is on the disks of a quorum at that moment: of the
 * configuration of whoever calls it so first, which is the leader. (What it
 * commits may make it append the next one.)
 */
export function committedIsDurable(): Invariant {
  const property = 'committed is durable on a majority';
  let checked = 0;
  const check = (node: CoreNode, { servers }: ClusterView): void => {
    for (; checked < node.core.commitIndex; checked++) {
      const entry = node.entries[checked];
      const configuration = node.configurationBefore;
      const holds = (actor: ActorId): boolean => servers.get(actor)?.disk.entries[checked]?.term === entry?.term;
      if (isQuorum(configuration, holds)) continue;
      const holders = [...servers.keys()].filter(holds);
      throw new Violation(
        property,
        `${node.self} has committed entry ${checked + 1} of term ${entry?.term}, which is on the disks of [${holders}] of ${describeConfiguration(configuration)}`,
      );
    }
  };
  return { property, stepped: check };
}
