import { type ActorId, FlotillaError, LIMITS } from '../base/index.js';
import type { Clock, Logger, MemberNews, Timer } from '../group/index.js';
import { membersOf } from '../raft/index.js';
import { activeVersionOf, type Member, type Membership, type VersionRange } from '../wire/index.js';

/** What a member says of itself, as its process runs now. */
export interface Speaker extends Member {
  readonly versions: VersionRange;
}

/** A Raft group, as far as its members go. */
export interface MembersGroup {
  readonly role: string;
  readonly membership: Membership;
  readonly members: { republish(news: MemberNews): Promise<Membership> };
  roleChanged(signal?: AbortSignal): Promise<void>;
}

export interface MemberUpkeepOptions {
  readonly group: MembersGroup;
  readonly self: Speaker;
  /** The others that are linked with this node now. */
  readonly others: () => readonly Speaker[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps true what the membership says of the members beside who votes: where
 * they are, and which version all of them speak. Each tells those whom it dials;
 * whoever leads puts it into the log, from which all others, and the clients,
 * have it.
 */
export class MemberUpkeep {
  private readonly options: MemberUpkeepOptions;
  private underWay = false;
  private retry: Timer | undefined;
  private readonly ending = new AbortController();

  constructor(options: MemberUpkeepOptions) {
    this.options = options;
  }

  start(): void {
    void this.watch();
  }

  stop(): void {
    this.ending.abort();
    this.retry?.cancel();
  }

  /** A member has said something of itself. */
  check(): void {
    const { group, self, others } = this.options;
    if (this.underWay || this.ending.signal.aborted || group.role !== 'leader') return;
    const news = newsOf(group.membership, [self, ...others()]);
    if (news !== undefined) void this.tell(news);
  }

  /** Who begins to lead may have heard before of what the leader before it had no time to tell. */
  private async watch(): Promise<void> {
    while (!this.ending.signal.aborted) {
      this.check();
      await this.options.group.roleChanged(this.ending.signal);
    }
  }

  private async tell(news: MemberNews): Promise<void> {
    const { group, clock, logger } = this.options;
    this.underWay = true;
    try {
      await group.members.republish(news);
      for (const { actor, address } of news.members ?? [])
        logger.info({ member: actor, address }, 'a member has another address');
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      // Another change is under way, or another node leads by now.
      logger.debug({ reason: error.message }, 'what is new of the members could not be told yet');
    } finally {
      this.underWay = false;
    }
    this.retry?.cancel();
    this.retry = clock.after(LIMITS.memberUpkeepMs, () => this.check());
  }
}

/** What the members say of themselves and the membership does not; undefined where that is nothing. */
export function newsOf(membership: Membership, said: readonly Speaker[]): MemberNews | undefined {
  const seats = new Map<ActorId, Member>(membership.members.map((member) => [member.actor, member]));
  const speakers = said.filter(({ actor, instance }) => seats.get(actor)?.instance === instance);
  const members = speakers
    .filter(({ actor, address }) => seats.get(actor)?.address !== address)
    .map(({ actor, instance, address }) => ({ actor, instance, address }));
  const activeVersion = commonVersion(membership, speakers);
  if (members.length === 0 && activeVersion <= activeVersionOf(membership)) return undefined;
  return activeVersion > activeVersionOf(membership) ? { members, activeVersion } : { members };
}

/**
 * The highest version that every member speaks, learners included: each gets
 * every record. 0 while one is not there to say so, for it may come back with
 * another version than it had.
 */
function commonVersion(membership: Membership, speakers: readonly Speaker[]): number {
  const spoken = new Map(speakers.map(({ actor, versions }) => [actor, versions.highest]));
  return Math.min(...membersOf(membership).map((actor) => spoken.get(actor) ?? 0));
}
