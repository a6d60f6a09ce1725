import { type ActorId, LIMITS, type LogIndex, type Seat, sameSeat } from '../base/index.js';
import type { Clock, Logger } from '../group/index.js';
import type { ClusterMember, ClusterState } from '../machine/cluster/index.js';
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
  /** Whether this node's link to a peer is open. */
  readonly isLinked: (actor: ActorId) => boolean;
  /** Whether the group may do without a node that is no member any more; absent: it may at once. */
  readonly mayRelease?: (seat: Seat) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Brings the configuration of one group, while this node leads it, in line with the members of the cluster: a node that
 * was taken in becomes a learner, which consensus makes a voter once it has caught up, and a node that leaves goes.
 */
export class MembershipReconciler {
  private readonly options: MembershipReconcilerOptions;
  private readonly loop: LeaderLoop;

  constructor(options: MembershipReconcilerOptions) {
    this.options = options;
    this.loop = new LeaderLoop({ ...options, step: () => this.step() });
  }

  start(): void {
    this.loop.start();
  }

  stop(): void {
    this.loop.stop();
  }

  /** The cluster's state has changed. */
  check(): void {
    this.loop.check();
  }

  private async step(): Promise<StepOutcome> {
    const { group, cluster, mayRelease } = this.options;
    if (this.nextChange === undefined) return 'nothing';
    // This node may lag behind in what it knows of the cluster: it must not take out a member that it has not heard of.
    await cluster.group.confirmReadIndex();
    const next = this.nextChange;
    if (next === undefined) return 'done';
    const { seat, to } = next;
    if (to === 'removed' && mayRelease?.(seat) === false) return 'later';
    const change = [{ actor: seat.actor, to }];
    if (!this.hasQuorum(change)) return 'later';
    await group.changeMembers(change, to === 'removed' ? [] : [seat]);
    return 'done';
  }

  private get nextChange(): SeatChange | undefined {
    return nextChange(this.options.group.membership, this.options.cluster.state);
  }

  /** Until the change is committed, a majority of those before it and of those after it must be there. */
  private hasQuorum(change: readonly MemberChange[]): boolean {
    const { group, isLinked } = this.options;
    const isThere = (actor: ActorId): boolean => actor === group.self || isLinked(actor);
    return isQuorum(changeConfiguration(group.membership, change), isThere);
  }
}

/** What a node is to be in a group's configuration from now on. */
export interface SeatChange {
  readonly seat: Seat;
  readonly to: 'learner' | 'removed';
}

/** The next step that brings a configuration in line with the cluster's members; undefined: there is none now. */
export function nextChange(membership: Membership, { clusterId, members }: ClusterState): SeatChange | undefined {
  // Before the founding record has taken effect the state names no members.
  if (clusterId === '' || isJoint(membership)) return undefined;
  const wanted = members.filter(({ isLeaving }: ClusterMember) => isLeaving !== true);
  const gone = membership.members.find((seat) => !wanted.some((member) => sameSeat(member, seat)));
  if (gone !== undefined) return { seat: gone, to: 'removed' };
  const newcomer = wanted.find((member) => !membership.members.some((seat) => sameSeat(seat, member)));
  if (newcomer === undefined || membership.learners.length >= LIMITS.learners) return undefined;
  const { actor, instance } = newcomer;
  return { seat: { actor, instance }, to: 'learner' };
}
