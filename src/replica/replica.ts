import {
  type ActorId,
  type Counter,
  FlotillaError,
  type GroupId,
  LIMITS,
  type LogIndex,
  logIndex,
  type Random,
  type Term,
} from '../base/index.js';
import {
  type ChangeRefusal,
  type Configuration,
  isJoint,
  type MemberChange,
  type Message,
  type OwnEntry,
  type PersistStep,
  RaftCore,
  type ReadResult,
  type Role,
  type Settings,
} from '../raft/index.js';
import {
  decodeMembership,
  encodeMembership,
  type LogRecord,
  type LogTail,
  type Member,
  type Membership,
  type PackedBody,
} from '../wire/index.js';
import { CommitWaiters } from './commit-waiters.js';
import { DeadlineTimer } from './deadline-timer.js';
import { HotLog } from './hot-log.js';
import { Memberships } from './memberships.js';
import type { ReplicaObserver } from './observer.js';
import type { Clock, GroupLog, LinkState, PeerTransport, Proposed, Storage, Timer } from './ports.js';
import { Proposer } from './proposer.js';
import { ReadIndexes } from './read-indexes.js';
import { Replicator } from './replicator.js';

export interface ReplicaOptions {
  readonly group: GroupId;
  readonly self: ActorId;
  readonly settings: Settings;
  readonly cacheBytes: number;
  readonly storage: Storage;
  readonly transport: PeerTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: ReplicaObserver;
  /** Called when the members, or what is known of them, have changed in the log of this node. */
  readonly onMembership: (membership: Membership) => void;
  /** Called once, with the first failure that this replica can't survive: the node must stop. */
  readonly onFatal: (error: unknown) => void;
}

/**
 * Drives one Raft group: feeds consensus with what happens, and carries out
 * what it decides — write, send, commit. Everything here runs in one turn of
 * the event loop but the disk, so that no two decisions interleave.
 */
export class Replica {
  readonly group: GroupId;
  readonly self: ActorId;
  private readonly options: ReplicaOptions;
  private readonly clock: Clock;
  private readonly stored: GroupLog;
  private readonly core: RaftCore;
  private readonly log: HotLog;
  private readonly proposer: Proposer;
  private readonly replicator: Replicator;
  private readonly readIndexes: ReadIndexes;
  private readonly commitWaiters: CommitWaiters;
  private noticeTimer: Timer | undefined;
  private readonly timer: DeadlineTimer;
  private seenRole: { role: Role['name']; term: Term; leader: ActorId | undefined };
  private readonly memberships: Memberships;
  private seenMembership: Membership;
  /** Whom the change that was asked for last would bring in. */
  private introduced: readonly Member[] = [];
  private stopped = false;

  constructor(options: ReplicaOptions) {
    this.options = options;
    this.group = options.group;
    this.self = options.self;
    this.clock = options.clock;
    this.stored = options.storage.group(options.group);
    const { recovered } = this.stored;
    this.log = new HotLog(this.stored, options.cacheBytes);
    this.core = new RaftCore({
      self: options.self,
      settings: options.settings,
      random: options.random,
      nowMs: this.clock.nowMs(),
      hardState: recovered.hardState,
      begin: recovered.begin,
      termStarts: recovered.termStarts,
      lastIndex: recovered.tail.index,
      configurations: recovered.memberships.map(({ index, membership }) => ({ index, configuration: membership })),
      commitIndex: recovered.commitIndex,
    });
    const { core, log, clock } = this;
    this.proposer = new Proposer({ core, log, clock, observer: options.observer, onProposed: () => this.drive() });
    this.replicator = new Replicator({
      core,
      log,
      clock,
      send: (to, message, records) => options.transport.send(to, this.group, message, records),
      onError: (error) => this.fail(error),
      onProgress: () => this.drive(),
    });
    this.readIndexes = new ReadIndexes({
      clock,
      firstRequestId: Math.floor(options.random() * 2 ** 40),
      ask: (requestId) => this.askReadIndex(requestId),
    });
    this.commitWaiters = new CommitWaiters(recovered.commitIndex);
    this.memberships = new Memberships(recovered.memberships);
    this.seenMembership = this.memberships.latest.membership;
    this.timer = new DeadlineTimer(clock, options.settings.heartbeatIntervalMs / 2, () => this.tick());
    this.seenRole = { role: core.role, term: core.term, leader: core.leader };
  }

  /** Begins to take part. */
  start(): void {
    this.drive();
  }

  // What others see

  get incarnation(): string {
    return this.stored.recovered.incarnation;
  }

  get role(): Role['name'] {
    return this.core.role;
  }

  get term(): Term {
    return this.core.term;
  }

  get leader(): ActorId | undefined {
    return this.core.leader;
  }

  get commitIndex(): LogIndex {
    return this.core.commitIndex;
  }

  get tail(): LogTail {
    return this.log.tail;
  }

  get cachedBytes(): number {
    return this.log.cachedBytes;
  }

  get configuration(): Configuration {
    return this.core.configuration;
  }

  /** The latest in this node's log, committed or not. */
  get membership(): Membership {
    return this.memberships.latest.membership;
  }

  /** What the leader knows each other member to hold durably; undefined on the others. */
  matchIndexes(): Map<ActorId, LogIndex> | undefined {
    return this.core.matchIndexes();
  }

  // Producing

  /**
   * Appends a batch that this node took in, by way of the leader. Resolves when
   * it is committed and this node can serve it.
   *
   * Rejects with NO_LEADER, NOT_LEADER, SHUTTING_DOWN or TOO_MANY_REQUESTS where
   * it was certainly not proposed, with OUTCOME_UNKNOWN where that can't be said.
   */
  async submit(body: PackedBody): Promise<Proposed> {
    if (this.stopped) throw new FlotillaError('SHUTTING_DOWN', 'the node is stopping; the batch was not proposed');
    if (this.core.role === 'leader') return this.proposer.propose(this.self, body);
    const { leader } = this.core;
    if (leader === undefined) throw new FlotillaError('NO_LEADER', 'no leader is known; the batch was not proposed: try again');
    const proposed = await this.options.transport.forward(leader, this.group, body);
    this.learnCommitted(proposed);
    try {
      await this.commitWaiters.reached(proposed.index);
    } catch (cause) {
      throw new FlotillaError(
        'OUTCOME_UNKNOWN',
        'the node stopped before it could serve the batch that the leader had taken: it may have been appended',
        { cause },
      );
    }
    return proposed;
  }

  /** The leader's answer to a forwarded batch is news of its commit, sooner than any other. */
  private learnCommitted({ index, term }: Proposed): void {
    if (this.stopped) return;
    this.guard(() => {
      this.core.learnCommitted(index, term);
      this.drive();
    });
  }

  /** Appends a batch that another node took in. It is not passed on a second time. */
  async proposeFor(actor: ActorId, body: PackedBody): Promise<Proposed> {
    return this.proposer.propose(actor, body);
  }

  // Members

  /**
   * Changes the members, through a joint configuration where that is needed.
   * `introduced`: who the actors are that were no members before. Resolves with
   * what came of it when all of the change is committed; a learner that is to
   * vote does so later, by itself, once it has caught up.
   *
   * Rejects with INVALID_ARGUMENT where the change makes no sense, with
   * NOT_LEADER and MEMBERSHIP_CHANGING where it was certainly not begun, and
   * with OUTCOME_UNKNOWN where it was and has not ended in time.
   */
  async changeMembers(changes: readonly MemberChange[], introduced: readonly Member[] = []): Promise<Membership> {
    if (this.stopped) throw new FlotillaError('SHUTTING_DOWN', 'the node is stopping; the members were not changed');
    const before = this.introduced;
    this.introduced = introduced;
    const begun = this.core.changeMembers(changes);
    if (typeof begun === 'string') {
      this.introduced = before;
      throw refusedChange(begun);
    }
    const { term } = this.core;
    this.guard(() => this.drive());
    await this.changeEnded(begun, term);
    return this.membership;
  }

  private async changeEnded(begun: LogIndex, term: Term): Promise<void> {
    const late = new AbortController();
    const timer = this.clock.after(LIMITS.memberChangeMs, () => late.abort());
    try {
      for (let awaited = begun; ; awaited = this.memberships.latest.index) {
        await this.commitWaiters.reached(awaited, late.signal);
        if (this.core.termAt(begun) !== term)
          throw new FlotillaError('NOT_LEADER', 'another leader took over; the members were not changed');
        if (!isJoint(this.core.configuration) && this.memberships.latest.index <= this.core.commitIndex) return;
        // Its end may be left to another leader.
        if (this.memberships.latest.index <= this.core.commitIndex)
          await this.commitWaiters.reached(logIndex(this.core.commitIndex + 1), late.signal);
      }
    } catch (cause) {
      if (cause instanceof FlotillaError && cause.code === 'NOT_LEADER') throw cause;
      throw new FlotillaError('OUTCOME_UNKNOWN', "the change of the members was begun and has not ended; look at the cluster's status", {
        cause,
      });
    } finally {
      timer.cancel();
    }
  }

  // Reading

  /** An index up to which a read sees everything acknowledged before this call; committed here when it resolves. */
  async confirmReadIndex(): Promise<LogIndex> {
    const index = await this.readIndexes.confirm();
    await this.commitWaiters.reached(index);
    return index;
  }

  /** Committed records from `from` on, as many as fit into `maxBytes`, at least one. `from` must be committed. */
  read(from: LogIndex, to: LogIndex, maxBytes: number): LogRecord[] | Promise<LogRecord[]> {
    return this.log.read(from, logIndex(Math.min(to, this.core.commitIndex)), maxBytes);
  }

  /** Resolves when `index` is committed here; rejects with CANCELLED when `signal` is aborted first, with SHUTTING_DOWN when the node stops. */
  waitCommitted(index: LogIndex, signal?: AbortSignal): Promise<void> {
    return this.commitWaiters.reached(index, signal);
  }

  /** Index of the record that holds the event with this counter, committed or not; undefined where there is none. */
  indexOfCounter(counter: Counter): Promise<LogIndex | undefined> {
    return this.log.indexOfCounter(counter);
  }

  /** Resolves at the next change of role, term or leader, when the node stops, and when `signal` is aborted. */
  roleChanged(signal?: AbortSignal): Promise<void> {
    return this.commitWaiters.roleChanged(signal);
  }

  // What comes in

  onMessage(from: ActorId, message: Message, records: readonly LogRecord[]): void {
    if (this.stopped) return;
    this.guard(() => {
      this.core.step(from, message, this.clock.nowMs());
      this.drive(records);
    });
  }

  onLink(peer: ActorId, state: LinkState): void {
    if (this.stopped) return;
    this.guard(() => {
      this.core.linkChanged(peer, state, this.clock.nowMs());
      this.drive();
    });
  }

  // Stopping

  /** Hands leadership over, where there is someone to take it; resolves when this node no longer leads, or the time is up. */
  async handOver(timeoutMs: number): Promise<void> {
    if (this.stopped || !this.core.transferLeadership(undefined, this.clock.nowMs())) return;
    const over = this.commitWaiters.roleChanged();
    this.drive();
    const timer = this.clock.after(timeoutMs, () => this.commitWaiters.wakeRole());
    await over;
    timer.cancel();
  }

  /** Takes part no more. What waits is told so; what was proposed has an unknown outcome. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.timer.cancel();
    this.noticeTimer?.cancel();
    this.proposer.stop();
    this.readIndexes.stop();
    this.commitWaiters.stop();
  }

  // The turn

  /** Carries out everything that the last input led to. `received`: the records of the append that was stepped in. */
  private drive(received: readonly LogRecord[] = []): void {
    if (this.stopped) return;
    this.guard(() => {
      const reads = this.carryOut(received);
      this.proposer.flush();
      this.replicator.sendAll();
      reads.push(...this.carryOut([]));
      this.persist();
      this.noticeCommit();
      this.noticeRole();
      this.noticeMembers();
      this.planCommitNotices();
      this.timer.set(this.core.nextDeadlineMs);
      // Last of all, because an answer makes way for the next question, which is a turn of its own.
      for (const { requestId, index } of reads) this.readIndexes.settled(requestId, index);
    });
  }

  private carryOut(received: readonly LogRecord[]): ReadResult[] {
    const output = this.core.takeOutput();
    const { acceptedFrom } = output;
    if (acceptedFrom !== undefined)
      this.accept(
        received.filter(({ index }) => index >= acceptedFrom),
        acceptedFrom,
      );
    for (const entry of output.ownEntries) this.sealOwn(entry);
    for (const { to, message } of output.messages) this.options.transport.send(to, this.group, message, []);
    for (let campaign = 0; campaign < output.campaigns; campaign++) this.options.observer.campaigned();
    return output.reads;
  }

  private sealOwn({ index, configuration }: OwnEntry): void {
    const { term } = this.core;
    if (configuration === undefined) {
      this.log.seal({ kind: 'no-op', term, eventCount: 0, payloadBytes: 0 });
      return;
    }
    const membership = this.memberships.membershipOf(configuration, this.introduced);
    const body = encodeMembership(membership);
    this.log.seal({ kind: 'configuration', term, eventCount: 0, payloadBytes: body.byteLength }, (payload) => payload.set(body));
    this.memberships.append({ index, membership });
  }

  /** Takes over the leader's records, in place of whatever stood there. */
  private accept(records: readonly LogRecord[], from: LogIndex): void {
    this.log.replaceFrom(records);
    this.memberships.truncateAfter(logIndex(from - 1));
    for (const { kind, index, payload } of records) {
      if (kind === 'configuration') this.memberships.append({ index, membership: decodeMembership(payload) });
    }
  }

  private persist(): void {
    const step = this.core.takePersistStep();
    if (step !== undefined) void this.writeStep(step);
  }

  private async writeStep(step: PersistStep): Promise<void> {
    const { fromIndex, throughIndex, truncateAfter, hardState } = step;
    const records = throughIndex < fromIndex ? [] : this.log.hot(fromIndex, throughIndex, Number.POSITIVE_INFINITY);
    const startMs = this.clock.nowMs();
    try {
      if (records === undefined) throw new Error(`records ${fromIndex} to ${throughIndex} left the cache before they were durable`);
      await this.options.storage.persist([
        {
          group: this.group,
          records,
          ...(truncateAfter === undefined ? {} : { truncateAfter }),
          ...(hardState === undefined ? {} : { hardState }),
        },
      ]);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (this.stopped) return;
    this.guard(() => {
      const nowMs = this.clock.nowMs();
      this.options.observer.persisted((nowMs - startMs) / 1000, records.length);
      this.core.persisted(step, nowMs);
      this.drive();
    });
  }

  private noticeCommit(): void {
    const { commitIndex, durableIndex } = this.core;
    // Above what is durable the storage may still hold another history, which it is about to truncate.
    const settledIndex = logIndex(Math.min(commitIndex, durableIndex));
    this.stored.noteCommitted(settledIndex);
    this.log.evict(settledIndex);
    if (commitIndex === this.commitWaiters.committedIndex) return;
    this.proposer.committed(commitIndex);
    this.commitWaiters.advance(commitIndex);
  }

  private noticeRole(): void {
    const { role, term, leader } = this.core;
    const seen = this.seenRole;
    if (role === seen.role && term === seen.term && leader === seen.leader) return;
    this.seenRole = { role, term, leader };
    if (seen.role === 'leader' && (role !== 'leader' || term !== seen.term)) this.proposer.leadershipLost();
    this.commitWaiters.wakeRole();
    this.options.observer.roleChanged(role, term, leader);
  }

  private noticeMembers(): void {
    const { membership } = this.memberships.latest;
    if (membership === this.seenMembership) return;
    this.seenMembership = membership;
    this.options.onMembership(membership);
  }

  /**
   * Followers learn of commits with the next append, which under load is at
   * once. When none follows they are told a little later: as much as a message
   * to each for every entry would cost, and nobody's receipt waits for it.
   */
  private planCommitNotices(): void {
    if (this.noticeTimer !== undefined || !this.core.owesCommitNotices) return;
    this.noticeTimer = this.clock.after(LIMITS.commitNoticeMs, () => {
      this.noticeTimer = undefined;
      if (this.stopped) return;
      this.guard(() => {
        this.core.sendCommitNotices();
        this.drive();
      });
    });
  }

  private tick(): void {
    if (this.stopped) return;
    this.guard(() => {
      this.core.tick(this.clock.nowMs());
      this.drive();
    });
  }

  private askReadIndex(requestId: number): void {
    this.guard(() => {
      this.core.readIndex(requestId, this.clock.nowMs());
      this.drive();
    });
  }

  private guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.fail(error);
    }
  }

  /** The first failure ends it: nothing is acknowledged any more, and no message leaves. */
  private fail(error: unknown): void {
    if (this.stopped) return;
    this.stop();
    this.options.onFatal(error);
  }
}

function refusedChange(why: ChangeRefusal | 'not the leader'): FlotillaError {
  if (why === 'not the leader') return new FlotillaError('NOT_LEADER', 'this node does not lead; the members were not changed');
  return new FlotillaError('MEMBERSHIP_CHANGING', `the members can't be changed now (${why}); nothing was changed: try again`);
}
