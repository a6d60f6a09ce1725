import { type ActorId, LIMITS, type LogIndex, type Seat, sameSeat } from '../base/index.js';
import type { Clock, HostedGroup, Logger } from '../group/index.js';
import type { ClusterState } from '../machine/cluster/index.js';
import { changeConfiguration, isJoint, isQuorum, type MemberChange } from '../raft/index.js';
import type { Membership } from '../wire/index.js';
import { LeaderLoop, type StepOutcome } from './leader-loop.js';

/** A Raft group, as far as its members go. */
export interface ReconciledGroup {
  readonly self: ActorId;
  readonly role: string;
  readonly membership: Membership;
  changeMembers(changes: readonly MemberChange[], introduced: readonly Seat[]): Promise<Membership>;
  roleChanged(signal?: AbortSignal): Promise<void>;
}

export interface MembershipReconcilerOptions {
  readonly group: ReconciledGroup;
  readonly cluster: {
    readonly state: ClusterState;
    readonly group: { confirmReadIndex(): Promise<LogIndex> };
  };
  /** Whether this node's link to this very node is open. */
  readonly isLinked: (seat: Seat) => boolean;
  /** The groups that a node leaves before this one; absent: it waits for none. */
  readonly leftBefore?: readonly Pick<HostedGroup, 'members'>[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Brings the configuration of one group, while this node leads it, in line with the members of the cluster: a node that
 * was taken in becomes a learner, which consensus makes a voter once it has caught up, and a node that leaves goes.
 */
export class MembershipReconciler extends LeaderLoop {
  private readonly options: MembershipReconcilerOptions;

  constructor(options: MembershipReconcilerOptions) {
    super(options);
    this.options = options;
  }

  protected override async step(): Promise<StepOutcome> {
    const { group, cluster } = this.options;
    if (this.changes.length === 0) return 'nothing';
    // This node may lag behind in what it knows of the cluster: it must not take out a member that it has not heard of.
    await cluster.group.confirmReadIndex();
    const { changes } = this;
    if (changes.length === 0) return 'done';
    const next = changes.find((change) => this.isPossible(change));
    if (next === undefined) return 'later';
    const { seat, to } = next;
    await group.changeMembers([{ actor: seat.actor, to }], to === 'removed' ? [] : [seat]);
    return 'done';
  }

  private get changes(): readonly SeatChange[] {
    return changesOf(this.options.group.membership, this.options.cluster.state);
  }

  /** Until the change is committed, a majority of those before it and of those after it must be there. */
  private isPossible({ seat, to }: SeatChange): boolean {
    const { group, isLinked } = this.options;
    if (to === 'removed' && !this.mayLeave(seat)) return false;
    const { membership, self } = group;
    const isThere = (actor: ActorId): boolean =>
      actor === self || membership.members.some((each) => each.actor === actor && isLinked(each));
    return isQuorum(changeConfiguration(membership, [{ actor: seat.actor, to }]), isThere);
  }

  /** This node itself goes by another leader: it might never hear that a group which it has left has committed that. */
  private mayLeave(seat: Seat): boolean {
    const { group, leftBefore } = this.options;
    if (leftBefore === undefined) return true;
    return seat.actor !== group.self && !leftBefore.some(({ members }) => names(members.committed, seat));
  }
}

/** What a node is to be in a group's configuration from now on. */
export interface SeatChange {
  readonly seat: Seat;
  readonly to: 'learner' | 'removed';
}

/**
 * The changes that bring a configuration in line with the cluster's members, those first that can wait least: a node
 * whose seat was given to another one will never speak again. One at a time is made; none between two configurations.
 */
export function changesOf(membership: Membership, { clusterId, members }: ClusterState): SeatChange[] {
  // Before the founding record has taken effect the state names no members.
  if (clusterId === '' || isJoint(membership)) return [];
  const wanted = members.filter(({ isLeaving }) => isLeaving !== true);
  const removed = membership.members
    .filter((seat) => !wanted.some((member) => sameSeat(member, seat)))
    .map((seat) => ({ seat, to: 'removed' }) as const);
  const isReplaced = ({ seat }: SeatChange): boolean => !members.some((member) => sameSeat(member, seat));
  const hasCapacity = membership.learners.length < LIMITS.learners;
  const added = wanted
    .filter(({ actor }) => hasCapacity && !membership.members.some((seat) => seat.actor === actor))
    .map(({ actor, instance }) => ({ seat: { actor, instance }, to: 'learner' }) as const);
  return [...removed.filter(isReplaced), ...removed.filter((change) => !isReplaced(change)), ...added];
}

/** Whether a node may still be needed to decide. */
function names(membership: Membership, seat: Seat): boolean {
  return isJoint(membership) || membership.members.some((member) => sameSeat(member, seat));
}
