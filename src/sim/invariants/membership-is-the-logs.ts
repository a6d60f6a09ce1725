import type { ActorId } from '../../base/index.js';
import { decodeMembership } from '../../wire/index.js';
import type { ObservedNode } from '../observed-node.js';
import { Violation } from '../violation.js';
import type { Invariant } from './invariant.js';

/**
 * The state that a node reached, by replay or through a snapshot, is the one that
 * the history says: the members are those of the last configuration in its log.
 */
export function membershipIsTheLogs(): Invariant {
  const property = 'state reached through a snapshot is that of the log';
  /** The index of the last configuration, by node; 0 where there is none. */
  const lastAt = new Map<ActorId, number>();

  const check = ({ actor, records, changedFrom, stream }: ObservedNode): void => {
    if (stream === undefined || changedFrom === Number.POSITIVE_INFINITY) return;
    const before = lastAt.get(actor) ?? 0;
    const from = before >= changedFrom ? 0 : changedFrom - 1;
    const found = records.findLastIndex((record, position) => position >= from && record.kind === 'configuration') + 1;
    const last = found > 0 ? found : before >= changedFrom ? 0 : before;
    lastAt.set(actor, last);
    const record = records[last - 1];
    if (record === undefined) return;
    const { voters, outgoing, learners } = decodeMembership(record.payload);
    const { membership } = stream.group;
    if (`${voters}/${outgoing}/${learners}` !== `${membership.voters}/${membership.outgoing}/${membership.learners}`)
      throw new Violation(
        property,
        `${actor} has the voters ${membership.voters}, and record ${last} of its log names ${voters}`,
      );
  };

  return {
    property,
    started(node) {
      lastAt.delete(node.actor);
      check(node);
    },
    stepped: check,
  };
}
