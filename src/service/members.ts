import { type ActorId, actorId, FlotillaError, LIMITS } from '../base/index.js';
import type { HostedGroup, LinkState } from '../group/index.js';
import { actorIsTaken } from '../peer/index.js';
import { type Configuration, changeConfiguration, isQuorum } from '../raft/index.js';
import type { Stream } from '../stream/index.js';
import type { Member, Membership } from '../wire/index.js';

/** What is needed to change a cluster's members. */
export interface MembersView {
  readonly self: Member;
  /** 32 hexadecimal digits. */
  readonly clusterId: string;
  /** Undefined while the cluster is still forming. */
  readonly replica: Stream | undefined;
  readonly links: ReadonlyMap<ActorId, LinkState>;
  readonly leaderAddress: string | undefined;
}

/**
 * Takes a node in, as a learner; it is made a voter when it has caught up. A
 * node that is a member already is told so again. One that comes anew because
 * its data was damaged takes the seat of its predecessor, which is removed
 * first: it will never speak again. `predecessor`: that one's instance, where the joiner has proved to be its
 * successor. Rejects as `Stream.changeMembers` does, and with FOREIGN_NODE where its actor id belongs to another data
 * directory.
 */
export async function takeInMember(view: MembersView, joiner: Member, predecessor?: string): Promise<Membership> {
  const replica = leading(view);
  const seat = replica.group.membership.members.find(({ actor }) => actor === joiner.actor);
  if (seat?.instance === joiner.instance) return replica.group.membership;
  if (seat !== undefined) {
    if (seat.instance !== predecessor) throw new FlotillaError('FOREIGN_NODE', actorIsTaken(seat, seat.address));
    await letGo(view, replica, seat);
  }
  if (replica.group.membership.learners.length >= LIMITS.learners)
    throw new FlotillaError(
      'MEMBERSHIP_CHANGING',
      `${LIMITS.learners} nodes that have joined are still catching up; try again`,
    );
  return await replica.group.changeMembers([{ actor: joiner.actor, to: 'learner' }], [joiner]);
}

/**
 * Removes a member whose data was damaged. The votes and acknowledgements that
 * it has forgotten do no harm: the others decide on this without it, by a
 * majority of those before the change and of those after it, and any such
 * majority holds whatever was ever committed.
 */
async function letGo(view: MembersView, replica: Stream, { actor }: Member): Promise<void> {
  if (view.links.get(actor) === 'open')
    throw new FlotillaError(
      'NOT_READY',
      `actor ${actor} is still linked as it was before; nothing was changed: try again`,
    );
  const { membership } = replica.group;
  const change = [{ actor, to: 'removed' }] as const;
  const next = changeConfiguration(membership, change);
  requireQuorum(next, view, actor);
  requireQuorum(membership, view, actor);
  await replica.group.changeMembers(change);
}

/** Takes a member out. Rejects with QUORUM_AT_RISK where the others could not go on without it. */
export async function removeMember(view: MembersView, id: number): Promise<Membership> {
  const actor = asActor(id);
  const replica = leading(view);
  const change = [{ actor, to: 'removed' }] as const;
  requireQuorum(changeConfiguration(replica.group.membership, change), view, actor);
  return await replica.group.changeMembers(change);
}

/** Hands leadership to `id`, 0 for anybody; resolves with the leader then, where that is known. */
export async function transferLeadership(view: MembersView, id: number): Promise<ActorId | undefined> {
  const replica = leading(view);
  const to = id === 0 ? undefined : asActor(id);
  if (to === view.self.actor) return to;
  if (to !== undefined && !replica.group.membership.voters.includes(to))
    throw new FlotillaError('INVALID_ARGUMENT', `actor_id: actor ${to} is no voter of this cluster`);
  if (await handOver(replica.group, LIMITS.transferMs, to)) return replica.group.leader;
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

function leading({ replica, leaderAddress }: MembersView): Stream {
  if (replica === undefined) throw new FlotillaError('NOT_READY', 'the cluster is still forming; nothing was changed');
  if (replica.group.role === 'leader') return replica;
  if (leaderAddress === undefined)
    throw new FlotillaError('NO_LEADER', 'no leader is known; nothing was changed: try again');
  throw new FlotillaError('NOT_LEADER', 'this node does not lead; nothing was changed: ask the leader', {
    leader: leaderAddress,
  });
}

/** Both before and after the change, a majority must be there to decide. */
function requireQuorum(next: Configuration, { self, links }: MembersView, leaving: ActorId): void {
  const isThere = (actor: ActorId): boolean => actor === self.actor || links.get(actor) === 'open';
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
