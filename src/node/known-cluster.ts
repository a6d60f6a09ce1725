import type { Member, Seat, Voucher } from '../base/index.js';
import type { ClusterState } from '../machine/cluster/index.js';

/** What a node knows of its cluster's members: by group 0, and until that tells, by what it was told when it joined. */
export class KnownCluster {
  private readonly self: Member;
  private current: readonly Member[];
  private currentVouchers: readonly Voucher[];

  constructor(self: Member, told: { readonly members: readonly Member[]; readonly vouchers: readonly Voucher[] }) {
    this.self = self;
    this.current = told.members;
    this.currentVouchers = told.vouchers;
  }

  get members(): readonly Member[] {
    return this.current;
  }

  get vouchers(): readonly Voucher[] {
    return this.currentVouchers;
  }

  /** Whether the members, as they are known, have this node. */
  get hasSelf(): boolean {
    return this.isMember(this.current);
  }

  /**
   * Takes over a state of the cluster. Returns all nodes that this one is to be linked with: those that have just left
   * are to hear of it, and those that took this node in stay while it catches up on states from before that.
   */
  follow({ clusterId, members, vouchers }: ClusterState): readonly Member[] {
    // Before the founding record has taken effect the state names no members.
    if (clusterId === '') return this.current;
    const isMember = this.isMember(members);
    if (isMember || vouchers.length > this.currentVouchers.length) this.currentVouchers = vouchers;
    const all = bothOf(this.current, members, isMember);
    this.current = isMember ? members.map(({ actor, instance, address }) => ({ actor, instance, address })) : all;
    return all;
  }

  private isMember(members: readonly Seat[]): boolean {
    return members.some(({ instance }) => instance === this.self.instance);
  }
}

/**
 * The members known before and those of the next state. Where both name an actor, the newer counts, which is the one
 * known before while this node, not yet a member by `next`, catches up.
 */
function bothOf(known: readonly Member[], next: readonly Member[], isMember: boolean): Member[] {
  const [older, newer] = isMember ? [known, next] : [next, known];
  return [...new Map([...older, ...newer].map((member) => [member.actor, member])).values()];
}
