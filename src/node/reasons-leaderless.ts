import type { ClusterView } from '../service/index.js';
import type { StreamGroup } from '../stream/index.js';

/** Why a group may have no leader that this node knows, in sentences for people; none where it has one. */
export function reasonsLeaderless(
  { leader, membership }: StreamGroup,
  { self, members, links }: ClusterView,
): string[] {
  if (leader !== undefined) return [];
  const away = members.filter(({ actor }) => actor !== self.actor && links.get(actor) !== 'open');
  const isMember = membership.members.some(({ instance }) => instance === self.instance);
  const actors = members.map(({ actor }) => actor).join(', ');
  return [
    'no leader is known',
    ...(isMember ? [] : ['this node is no member of the cluster, not yet or not any more']),
    `this node belongs to the cluster of actors ${actors}, of which a majority must take part`,
    ...away.map(({ actor, address }) => `actor ${actor} (${address}) can't be reached`),
  ];
}
