import {
  type ActorId,
  actorId,
  FlotillaError,
  LIMITS,
  type Member,
  type Seat,
  type Voucher,
  type VoucherClaim,
} from '../base/index.js';
import type { Cluster } from '../cluster/index.js';
import type { HostedGroup } from '../group/index.js';
import type { ClusterState } from '../machine/cluster/index.js';
import { type Configuration, changeConfiguration, isJoint, isQuorum } from '../raft/index.js';
import type { Stream } from '../stream/index.js';
import type { Membership } from '../wire/index.js';

/** What is needed to change a cluster's members. */
export interface MembersView {
  readonly self: Member;
  /** 32 hexadecimal digits. */
  readonly clusterId: string;
  /** Undefined while the cluster is still forming. */
  readonly cluster: Cluster | undefined;
  /** The stream `default`; undefined while the cluster is still forming. */
  readonly stream: Stream | undefined;
  /** The groups of this node, that of the cluster included. */
  readonly groups: readonly Pick<HostedGroup, 'membership'>[];
  /** Whether this node's link to this very node is open. */
  readonly isLinked: (seat: Seat) => boolean;
  readonly addressOf: (actor: ActorId | undefined) => string | undefined;
  /** Signs for a member that this node takes in. */
  readonly vouch: (claim: VoucherClaim) => Voucher;
}

/**
 * Takes a node in: as a learner of each group, which is made a voter when it has caught up. A node that is a member
 * already is told so again. One that comes anew because its data was damaged takes the seat of its predecessor, which
 * is removed: it will never speak again. `predecessor`: that one's instance, where the joiner has proved to be its
 * successor. Rejects as `Cluster.takeIn` does, and with FOREIGN_NODE where its actor id belongs to another data
 * directory.
 */
export async function takeInMember(view: MembersView, joiner: Member, predecessor?: string): Promise<ClusterState> {
  const cluster = leadingCluster(view);
  const { state, group } = cluster;
  const holder = state.members.find(({ actor }) => actor === joiner.actor);
  if (holder?.instance === joiner.instance) return state;
  if (holder !== undefined && holder.instance === predecessor) requireDispensable(view, holder);
  const catchingUp = state.members.filter(({ actor }) => !group.membership.voters.includes(actor));
  if (catchingUp.length >= LIMITS.learners)
    throw new FlotillaError(
      'MEMBERSHIP_CHANGING',
      `${LIMITS.learners} nodes that have joined are still catching up; try again`,
    );
  const index = Math.max(group.tail.index, state.vouchers.at(-1)?.index ?? 0) + 1;
  return await cluster.takeIn(joiner, view.vouch({ ...joiner, index }), predecessor);
}

/**
 * The data of a member was damaged. The votes and acknowledgements that it has forgotten do no harm: the others decide
 * on its removal without it, by a majority of those before the change and of those after it, and any such majority
 * holds whatever was ever committed.
 */
function requireDispensable(view: MembersView, predecessor: Member): void {
  const { actor } = predecessor;
  if (view.isLinked(predecessor))
    throw new FlotillaError(
      'NOT_READY',
      `actor ${actor} is still linked as it was before; nothing was changed: try again`,
    );
  for (const { membership } of view.groups) requireQuorum(membership, membership, view, actor);
  requireQuorumWithout(view, actor);
}

/**
 * Takes a member out; resolves with the voters that are left when no group needs it any more. Rejects with
 * QUORUM_AT_RISK where the others could not go on without it.
 */
export async function removeMember(view: MembersView, id: number): Promise<readonly ActorId[]> {
  const actor = asActor(id);
  const cluster = leadingCluster(view);
  const member = cluster.state.members.find((each) => each.actor === actor);
  if (member === undefined) throw new FlotillaError('INVALID_ARGUMENT', `actor ${actor} is no member`);
  requireQuorumWithout(view, actor);
  await cluster.remove({ actor, instance: member.instance });
  return cluster.group.members.committed.voters;
}

/** Hands leadership to `id`, 0 for anybody; resolves with the leader then, where that is known. */
export async function transferLeadership(view: MembersView, id: number): Promise<ActorId | undefined> {
  const stream = leadingStream(view);
  const to = id === 0 ? undefined : asActor(id);
  if (to === view.self.actor) return to;
  if (to !== undefined && !stream.group.membership.voters.includes(to))
    throw new FlotillaError('INVALID_ARGUMENT', `actor_id: actor ${to} is no voter of this cluster`);
  if (await handOver(stream.group, LIMITS.transferMs, to)) {
    // What else this node does for the cluster goes with it, as far as that other node can take it.
    if (view.cluster?.group.role === 'leader') await handOver(view.cluster.group, LIMITS.transferMs, to);
    return stream.group.leader;
  }
  throw new FlotillaError(
    'QUORUM_AT_RISK',
    to === undefined
      ? 'there is no other voter that could lead; nothing was changed'
      : `actor ${to} has not taken over; this node still leads`,
  );
}

/**
 * Resolves when this node has seen its successor stand, so that it can tell its producers; false where it still leads.
 */
export async function handOver(
  group: Pick<HostedGroup, 'handOver' | 'leader' | 'roleChanged'>,
  timeoutMs: number,
  to?: ActorId,
): Promise<boolean> {
  const isOver = await group.handOver(timeoutMs, to);
  if (isOver && group.leader === undefined) await group.roleChanged(AbortSignal.timeout(timeoutMs));
  return isOver;
}

function leadingCluster({ cluster, addressOf }: MembersView): Cluster {
  if (cluster === undefined) throw forming();
  requireLeader(cluster.group, addressOf);
  return cluster;
}

function leadingStream({ stream, addressOf }: MembersView): Stream {
  if (stream === undefined) throw forming();
  requireLeader(stream.group, addressOf);
  return stream;
}

function requireLeader(
  { role, leader }: Pick<HostedGroup, 'role' | 'leader'>,
  addressOf: MembersView['addressOf'],
): void {
  if (role === 'leader') return;
  const address = addressOf(leader);
  if (address === undefined) throw new FlotillaError('NO_LEADER', 'no leader is known; nothing was changed: try again');
  throw new FlotillaError('NOT_LEADER', 'this node does not lead; nothing was changed: ask the leader', {
    leader: address,
  });
}

function forming(): FlotillaError {
  return new FlotillaError('NOT_READY', 'the cluster is still forming; nothing was changed');
}

/** Each group that names a member must be able to go on without it. */
function requireQuorumWithout(view: MembersView, actor: ActorId): void {
  for (const { membership } of view.groups) {
    if (!membership.members.some((seat) => seat.actor === actor)) continue;
    if (isJoint(membership))
      throw new FlotillaError(
        'MEMBERSHIP_CHANGING',
        'another change of the members is under way; nothing was changed: try again',
      );
    requireQuorum(changeConfiguration(membership, [{ actor, to: 'removed' }]), membership, view, actor);
  }
}

/** Both before and after the change, a majority of those that vote in a group must be there to decide. */
function requireQuorum(
  next: Configuration,
  membership: Membership,
  { self, isLinked }: MembersView,
  leaving: ActorId,
): void {
  const isThere = (actor: ActorId): boolean =>
    actor === self.actor || membership.members.some((seat) => seat.actor === actor && isLinked(seat));
  if (isQuorum(next, isThere)) return;
  const away = next.voters.filter((actor) => !isThere(actor));
  throw new FlotillaError(
    'QUORUM_AT_RISK',
    `without actor ${leaving} the cluster could not go on: ` +
      `of its voters (${next.voters.join(', ')}), ${away.join(', ')} can't be reached. ` +
      'Nothing was changed: bring them back, or remove them first',
  );
}

function asActor(id: number): ActorId {
  if (Number.isInteger(id) && id >= 1 && id <= LIMITS.actorIdMax) return actorId(id);
  throw new FlotillaError('INVALID_ARGUMENT', `actor_id: ${id} is no actor id: 1 to ${LIMITS.actorIdMax}`);
}
