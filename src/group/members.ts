import { type ActorId, FlotillaError, LIMITS, type LogIndex, logIndex, type Seat, type Term } from '../base/index.js';
import { type ChangeRefusal, type Configuration, isJoint, type MemberChange } from '../raft/index.js';
import {
  decodeMembership,
  encodeMembership,
  type LogRecord,
  type Membership,
  type PlacedMembership,
} from '../wire/index.js';
import type { SharedOptions } from './group-options.js';
import type { GroupParts } from './group-parts.js';
import type { IndexWaiters } from './index-waiters.js';
import { Memberships } from './memberships.js';
import { stopping } from './refusals.js';
import type { RoleWaiters } from './role-waiters.js';

export interface MembersOptions
  extends Pick<GroupParts, 'core' | 'log' | 'clock' | 'inbox'>,
    Pick<SharedOptions, 'self' | 'instance'> {
  readonly committed: IndexWaiters;
  readonly roles: RoleWaiters;
  readonly recovered: readonly PlacedMembership[];
}

/** The members of one group, and the changes of them while this node leads. */
export class Members {
  private readonly options: MembersOptions;
  private readonly memberships: Memberships;
  private seen: Membership;
  /** The seats of actors that the next configuration brings in. */
  private introduced: readonly Seat[] = [];

  constructor(options: MembersOptions) {
    this.options = options;
    this.memberships = new Memberships(options.recovered);
    this.seen = this.latest;
    this.findSeat();
  }

  /** In this node's log, committed or not. */
  get latest(): Membership {
    return this.memberships.latest.membership;
  }

  /** This node was a member and, by its log, is none any more. */
  get hasLeft(): boolean {
    const { instance } = this.options;
    return instance !== undefined && this.memberships.hasLeft(instance);
  }

  /** The latest that is committed, as far as this node knows. */
  get committed(): Membership {
    return this.memberships.asOf(this.options.core.commitIndex).membership;
  }

  /** See {@link Memberships.seatOf}. */
  seatOf(actor: ActorId): Seat | undefined {
    return this.memberships.seatOf(actor);
  }

  /** Makes the record of a configuration that consensus has just appended. */
  seal(index: LogIndex, configuration: Configuration): void {
    const { core, log } = this.options;
    const membership = this.memberships.membershipOf(configuration, this.introduced);
    this.introduced = [];
    const body = encodeMembership(membership);
    log.seal({ kind: 'configuration', term: core.term, eventCount: 0, payloadBytes: body.byteLength }, (payload) =>
      payload.set(body),
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

  /** Wakes those that wait for another membership, where there is one. */
  notice(): void {
    if (this.latest === this.seen) return;
    this.seen = this.latest;
    this.findSeat();
    this.options.roles.wake();
  }

  /** An actor id may be given to another data directory, which then catches up on the time of the one before. */
  private findSeat(): void {
    const { core, self, instance } = this.options;
    const seat = this.latest.members.find((member) => member.actor === self);
    core.hasStaleIdentity = instance !== undefined && seat !== undefined && seat.instance !== instance;
  }

  /** See `Group.changeMembers`. */
  async change(changes: readonly MemberChange[], introduced: readonly Seat[]): Promise<Membership> {
    const { core, clock, inbox } = this.options;
    const { index, term } = await new Promise<{ readonly index: LogIndex; readonly term: Term }>((resolve, reject) => {
      const isTaken = inbox.post(() => {
        const begun = attempt(() => core.changeMembers(changes, clock.nowMs()), reject);
        if (begun === undefined) return;
        if (typeof begun === 'string') return reject(refusedChange(begun));
        // The turn that follows makes the record.
        this.introduced = introduced;
        resolve({ index: begun, term: core.term });
      });
      if (!isTaken) reject(stopping());
    });
    await this.ended(index, term);
    return this.latest;
  }

  private async ended(begun: LogIndex, term: Term): Promise<void> {
    const { core, clock, committed } = this.options;
    const late = new AbortController();
    const timer = clock.after(LIMITS.memberChangeMs, () => late.abort());
    try {
      for (let awaited = begun; ; awaited = this.nextStep()) {
        await committed.reached(awaited, late.signal);
        if (core.termAt(begun) !== term) break;
        if (!isJoint(core.configuration) && this.memberships.latest.index <= core.commitIndex) return;
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
    const { commitIndex } = this.options.core;
    const { index } = this.memberships.latest;
    return index > commitIndex ? index : logIndex(commitIndex + 1);
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

/** A change that makes no sense is refused by an exception, which is its caller's and no failure of the group. */
function attempt<Result>(run: () => Result, reject: (error: unknown) => void): Result | undefined {
  try {
    return run();
  } catch (error) {
    reject(error);
    return undefined;
  }
}
