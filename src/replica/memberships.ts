import { assert, type LogIndex, present } from '../base/index.js';
import { type Configuration, membersOf } from '../raft/index.js';
import type { Member, Membership } from '../wire/index.js';

/** A membership and the log index that put it in force. */
export interface PlacedMembership {
  readonly index: LogIndex;
  readonly membership: Membership;
}

/** What a record of a configuration says that none before it has said. */
export interface MemberNews {
  readonly members?: readonly Member[];
  readonly activeVersion?: number;
}

/** What consensus knows as configurations, with who the members are and where. Follows the log as the configurations do. */
export class Memberships {
  private placed: PlacedMembership[];

  /** Ascending by index, at least one; the first is never truncated. */
  constructor(recovered: readonly PlacedMembership[]) {
    assert(recovered.length > 0, 'a group has a membership from the start');
    this.placed = [...recovered];
  }

  get latest(): PlacedMembership {
    return present(this.placed.at(-1), 'the first membership is never truncated');
  }

  /** Whether the log has taken this node in and, later, out again. Before the log's first record nobody was taken in. */
  hasLeft(instance: string): boolean {
    const names = ({ membership }: PlacedMembership): boolean => membership.members.some((member) => member.instance === instance);
    return !names(this.latest) && this.placed.some((placed) => placed.index > 0 && names(placed));
  }

  append(placed: PlacedMembership): void {
    assert(placed.index > this.latest.index, 'memberships are appended in index order');
    this.placed.push(placed);
  }

  truncateAfter(index: LogIndex): void {
    while (this.placed.length > 1 && this.latest.index > index) this.placed.pop();
  }

  /** The log begins after `index` from now on. */
  cutThrough(index: LogIndex): void {
    this.placed = this.placed.slice(
      Math.max(
        0,
        this.placed.findLastIndex((each) => each.index <= index),
      ),
    );
  }

  /** The log is replaced by a snapshot, as of which this one is in force. */
  replaceWith(placed: PlacedMembership): void {
    this.placed = [placed];
  }

  /** In force as of an index that is not below the first one's. */
  asOf(index: LogIndex): Membership {
    return (this.placed.findLast((each) => each.index <= index) ?? this.latest).membership;
  }

  /** The membership of a new configuration: its members as they are known, those in the news as these say. */
  membershipOf(
    configuration: Configuration,
    { members: news = [], activeVersion = this.latest.membership.activeVersion }: MemberNews,
  ): Membership {
    const known = new Map([...this.latest.membership.members, ...news].map((member) => [member.actor, member]));
    const members = membersOf(configuration)
      .sort((a, b) => a - b)
      .map((actor) => present(known.get(actor), `nobody has said where actor ${actor} is`));
    return { ...configuration, members, ...(activeVersion === undefined ? {} : { activeVersion }) };
  }
}
