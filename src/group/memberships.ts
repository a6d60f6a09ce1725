import { LIMITS, type LogIndex, present } from '../base/index.js';
import { type Configuration, IndexedHistory, membersOf } from '../raft/index.js';
import type { Member, Membership, PlacedMembership, Voucher, VoucherClaim } from '../wire/index.js';

/** What a record of a configuration says that none before it has said. */
export interface MemberNews {
  readonly members?: readonly Member[];
  readonly activeVersion?: number;
}

/**
 * What consensus knows as configurations, with who the members are and where. Follows the log as the configurations do.
 */
export class Memberships extends IndexedHistory<PlacedMembership> {
  /**
   * Whether the log has taken this node in and, later, out again. Before the log's first record nobody was taken in.
   */
  hasLeft(instance: string): boolean {
    const names = ({ membership }: PlacedMembership): boolean =>
      membership.members.some((member) => member.instance === instance);
    return !names(this.latest) && this.history.some((placed) => placed.index > 0 && names(placed));
  }

  /**
   * The membership of a new configuration, which stands at `index`: its members as they are known, those in the news as
   * these say. For whoever comes in with it `vouch` is asked.
   */
  membershipOf(
    configuration: Configuration,
    index: LogIndex,
    { members: news = [], activeVersion = this.latest.membership.activeVersion }: MemberNews,
    vouch: ((claim: VoucherClaim) => Voucher) | undefined,
  ): Membership {
    const { members: before, vouchers: earlier = [] } = this.latest.membership;
    const known = new Map([...before, ...news].map((member) => [member.actor, member]));
    const members = membersOf(configuration)
      .sort((a, b) => a - b)
      .map((actor) => present(known.get(actor), `nobody has said where actor ${actor} is`));
    const newcomers = members.filter(({ instance }) => !before.some((member) => member.instance === instance));
    const fresh = vouch === undefined ? [] : newcomers.map(({ actor, instance }) => vouch({ actor, instance, index }));
    const vouchers = [...earlier, ...fresh].slice(-LIMITS.vouchers);
    return {
      ...configuration,
      members,
      ...(activeVersion === undefined ? {} : { activeVersion }),
      ...(vouchers.length === 0 ? {} : { vouchers }),
    };
  }
}
