import { type ActorId, FlotillaError, LIMITS } from '../base/index.js';
import type { Member, Membership } from '../wire/index.js';
import type { Logger } from './logger.js';
import type { Clock, Timer } from './ports.js';
import type { Replica } from './replica.js';

export interface MemberUpkeepOptions {
  readonly replica: Replica;
  /** This node, as it is now. */
  readonly self: Member;
  /** The others that are linked with this node, as they say that they are. */
  readonly others: () => readonly Member[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps true what the membership says of the members beside who votes: where
 * they are. A node that was started at another address tells those whom it
 * dials; whoever leads puts that into the log, from which all others, and the
 * clients, have it.
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
    const { replica, self, others } = this.options;
    if (this.underWay || this.ending.signal.aborted || replica.role !== 'leader') return;
    const news = newsOf(replica.membership, [self, ...others()]);
    if (news.length > 0) void this.tell(news);
  }

  /** Who begins to lead may have heard before of what the leader before it had no time to tell. */
  private async watch(): Promise<void> {
    while (!this.ending.signal.aborted) {
      this.check();
      await this.options.replica.roleChanged(this.ending.signal);
    }
  }

  private async tell(news: readonly Member[]): Promise<void> {
    const { replica, clock, logger } = this.options;
    this.underWay = true;
    try {
      await replica.members.restate(news);
      for (const { actor, address } of news) logger.info({ member: actor, address }, 'a member has another address');
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      // Another change is under way, or another node leads by now.
      logger.debug({ reason: error.message }, 'the new address of a member could not be told yet');
    } finally {
      this.underWay = false;
    }
    this.retry?.cancel();
    this.retry = clock.after(LIMITS.memberUpkeepMs, () => this.check());
  }
}

/** The members of which the membership says something else than they do themselves, as they say it. */
export function newsOf({ members }: Membership, said: readonly Member[]): Member[] {
  const seats = new Map<ActorId, Member>(members.map((member) => [member.actor, member]));
  return said.flatMap(({ actor, instance, address }) => {
    const seat = seats.get(actor);
    return seat?.instance === instance && seat.address !== address ? [{ actor, instance, address }] : [];
  });
}
