import { FlotillaError, LIMITS, type LogIndex, logIndex, type Term } from '../base/index.js';
import { type ChangeRefusal, type Configuration, isJoint, type MemberChange, type RaftCore } from '../raft/index.js';
import {
  decodeMembership,
  encodeMembership,
  type LogRecord,
  type Member,
  type Membership,
  type PlacedMembership,
  type RecordKind,
} from '../wire/index.js';
import type { CommitWaiters } from './commit-waiters.js';
import type { HotLog } from './hot-log.js';
import { activeVersionOf, requireKind } from './kind-versions.js';
import { type MemberNews, Memberships } from './memberships.js';
import type { Clock } from './ports.js';
import type { ReplicaOptions } from './replica-options.js';

export interface MembersOptions {
  readonly core: RaftCore;
  readonly log: HotLog;
  readonly clock: Clock;
  readonly node: Pick<ReplicaOptions, 'self' | 'instance' | 'vouch'>;
  readonly commitWaiters: CommitWaiters;
  readonly recovered: readonly PlacedMembership[];
  readonly onChanged: (membership: Membership) => void;
  /** Carries out what consensus has decided. */
  readonly drive: () => void;
}

/** Who the members of one group are, and the changes of that which this node leads. */
export class Members {
  private readonly core: RaftCore;
  private readonly log: HotLog;
  private readonly clock: Clock;
  private readonly node: MembersOptions['node'];
  private readonly commitWaiters: CommitWaiters;
  private readonly memberships: Memberships;
  private readonly onChanged: (membership: Membership) => void;
  private readonly drive: () => void;
  private seen: Membership;
  /** What the record of the next configuration says that no record before it has said. */
  private news: MemberNews = {};

  constructor(options: MembersOptions) {
    this.core = options.core;
    this.log = options.log;
    this.clock = options.clock;
    this.node = options.node;
    this.commitWaiters = options.commitWaiters;
    this.memberships = new Memberships(options.recovered);
    this.onChanged = options.onChanged;
    this.drive = options.drive;
    this.seen = this.latest;
    this.findSeat();
  }

  /** In this node's log, committed or not. */
  get latest(): Membership {
    return this.memberships.latest.membership;
  }

  /** This node was a member and, by its log, is none any more. */
  get hasLeft(): boolean {
    const { instance } = this.node;
    return instance !== undefined && this.memberships.hasLeft(instance);
  }

  /** What may be proposed, by the committed members; it never goes back. */
  get activeVersion(): number {
    return activeVersionOf(this.memberships.asOf(this.core.commitIndex).membership);
  }

  /** Throws UPGRADE_NEEDED where records of this kind may not be proposed yet. */
  requireKind(kind: RecordKind): void {
    requireKind(kind, this.activeVersion);
  }

  /** Makes the record of a configuration that consensus has just appended. */
  seal(index: LogIndex, configuration: Configuration): void {
    const membership = this.memberships.membershipOf(configuration, index, this.news, this.node.vouch);
    const body = encodeMembership(membership);
    this.log.seal(
      { kind: 'configuration', term: this.core.term, eventCount: 0, payloadBytes: body.byteLength },
      (payload) => payload.set(body),
    );
    this.memberships.append({ index, membership });
  }

  /** The leader's records stand in the log from `from` on. */
  accepted(records: readonly LogRecord[], from: LogIndex): void {
    this.memberships.truncateAfter(logIndex(from - 1));
    for (const { kind, index, payload } of records) {
      if (kind === 'configuration') this.memberships.append({ index, membership: decodeMembership(payload) });
    }
  }

  /** The log begins after `index` from now on. */
  cutThrough(index: LogIndex): void {
    this.memberships.cutThrough(index);
  }

  /** The log is replaced by a snapshot, as of which this one is in force. */
  replaceWith(placed: PlacedMembership): void {
    this.memberships.replaceWith(placed);
  }

  /** Tells of a membership that was not told of yet. */
  notice(): void {
    if (this.latest === this.seen) return;
    this.seen = this.latest;
    this.findSeat();
    this.onChanged(this.latest);
    this.commitWaiters.wakeRole();
  }

  /** An actor id may be given to another data directory, which then catches up on the time of the one before. */
  private findSeat(): void {
    const { self, instance } = this.node;
    const seat = this.latest.members.find((member) => member.actor === self);
    this.core.hasStaleIdentity = instance !== undefined && seat !== undefined && seat.instance !== instance;
  }

  /** See `Replica.changeMembers`. */
  async change(changes: readonly MemberChange[], introduced: readonly Member[]): Promise<Membership> {
    return await this.append({ members: introduced }, () => this.core.changeMembers(changes, this.clock.nowMs()));
  }

  /**
   * Says once more who the members are, and what is new: another address of
   * some, a version that all speak. Nobody comes or goes. Rejects like a change.
   */
  async restate(news: MemberNews): Promise<Membership> {
    return await this.append(news, () => this.core.republishConfiguration(this.clock.nowMs()));
  }

  private async append(news: MemberNews, begin: () => ReturnType<RaftCore['changeMembers']>): Promise<Membership> {
    const begun = begin();
    if (typeof begun === 'string') throw refusedChange(begun);
    const { term } = this.core;
    this.news = news;
    // Makes the record. Those of later steps repeat what it says: by then somebody else may have said something newer.
    this.drive();
    this.news = {};
    await this.ended(begun, term);
    return this.latest;
  }

  private async ended(begun: LogIndex, term: Term): Promise<void> {
    const late = new AbortController();
    const timer = this.clock.after(LIMITS.memberChangeMs, () => late.abort());
    try {
      for (let awaited = begun; ; awaited = this.nextStep()) {
        await this.commitWaiters.reached(awaited, late.signal);
        if (this.core.termAt(begun) !== term) break;
        if (!isJoint(this.core.configuration) && this.memberships.latest.index <= this.core.commitIndex) return;
      }
    } catch (cause) {
      throw new FlotillaError(
        'OUTCOME_UNKNOWN',
        "the change of the members was begun and has not ended; look at the cluster's status",
        {
          cause,
        },
      );
    } finally {
      timer.cancel();
    }
    throw new FlotillaError('NOT_LEADER', 'another leader took over; the members were not changed');
  }

  /**
   * What to wait for where a change has not ended: its next configuration, which another leader may be the one to
   * append.
   */
  private nextStep(): LogIndex {
    const { index } = this.memberships.latest;
    return index > this.core.commitIndex ? index : logIndex(this.core.commitIndex + 1);
  }
}

function refusedChange(why: ChangeRefusal | 'not the leader'): FlotillaError {
  if (why === 'not the leader')
    return new FlotillaError('NOT_LEADER', 'this node does not lead; the members were not changed');
  return new FlotillaError(
    'MEMBERSHIP_CHANGING',
    `the members can't be changed now (${why}); nothing was changed: try again`,
  );
}
