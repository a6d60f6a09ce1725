import { FlotillaError, LIMITS, logIndex, type Member, type Seat, sameSeat, type Voucher } from '../base/index.js';
import type { Clock } from '../group/index.js';
import { type ClusterState, leavingCommand, memberCommand } from '../machine/cluster/index.js';
import type { ClusterGroup } from './cluster-group.js';

export interface ClusterOptions {
  /** It was made with `ON_CLUSTER_GROUP`, and has not begun. */
  readonly group: ClusterGroup;
  readonly clock: Clock;
}

/** The cluster, as one node has it: what group 0 says of members, versions and streams, and the changes of it. */
export class Cluster {
  readonly group: ClusterGroup;
  private readonly clock: Clock;
  private readonly listeners: ((state: ClusterState) => void)[] = [];
  private seen: ClusterState;

  constructor({ group, clock }: ClusterOptions) {
    this.group = group;
    this.clock = clock;
    this.seen = this.state;
    group.listen({ turned: () => this.notice() });
  }

  /** What has taken effect on this node: another object after each change. */
  get state(): ClusterState {
    return this.group.state.machine.state;
  }

  /** Called within a turn of the group, with each new state. */
  onChange(listener: (state: ClusterState) => void): void {
    this.listeners.push(listener);
  }

  /**
   * Takes a node in, on the leader: it is a member when this resolves, and is brought into each group's configuration
   * from then on. `predecessor`: the instance whose seat it may take. Rejects with FOREIGN_NODE where its actor id
   * belongs to another node, with MEMBERSHIP_CHANGING where another node was taken in at the same time, and as
   * `Group.execute` does.
   */
  async takeIn(member: Member, voucher: Voucher, predecessor?: string): Promise<ClusterState> {
    await this.group.execute(memberCommand(this.group.self, { member, voucher }, predecessor));
    return this.state;
  }

  /**
   * Takes a member out, on the leader; resolves when it is none any more and no group's configuration names it. Rejects
   * with INVALID_ARGUMENT where there is no such member or no other, with OUTCOME_UNKNOWN where it takes too long, and
   * as `Group.execute` does.
   */
  async remove(seat: Seat): Promise<void> {
    await this.group.execute(leavingCommand(this.group.self, seat));
    const late = new AbortController();
    const timer = this.clock.after(LIMITS.memberChangeMs, () => late.abort());
    try {
      await (seat.actor === this.group.self ? this.selfHasLeft(late.signal) : this.hasLeft(seat, late.signal));
    } catch (cause) {
      const message = `actor ${seat.actor} is being taken out, which has not ended; look at the cluster's status`;
      throw new FlotillaError('OUTCOME_UNKNOWN', message, { cause });
    } finally {
      timer.cancel();
    }
  }

  private async hasLeft(seat: Seat, signal: AbortSignal): Promise<void> {
    while (this.state.members.some((member) => sameSeat(member, seat))) {
      const next = logIndex(this.group.state.appliedIndex + 1);
      await this.group.waitCommitted(next, signal);
      await this.group.state.reached(next);
    }
  }

  /** A node that takes itself out hears of no more than the configuration that does not name it. */
  private async selfHasLeft(signal: AbortSignal): Promise<void> {
    while (!this.group.members.hasLeft) {
      await this.group.roleChanged(signal);
      signal.throwIfAborted();
    }
  }

  private notice(): void {
    const { state } = this;
    if (state === this.seen) return;
    this.seen = state;
    for (const listener of this.listeners) listener(state);
  }
}
