import {
  type ActorId,
  type Counter,
  FlotillaError,
  type GroupId,
  type LogIndex,
  logIndex,
  type Term,
} from '../base/index.js';
import { NO_PRODUCER } from '../event/index.js';
import type { TimeBound } from '../machine/index.js';
import type { MemberChange, Message, OwnEntry, RaftCore, ReadResult, Role } from '../raft/index.js';
import type { LogRecord, LogTail, Member, Membership, PackedBody } from '../wire/index.js';
import { CommitNotices } from './commit-notices.js';
import { CommitWaiters } from './commit-waiters.js';
import type { Deadline } from './deadlines.js';
import { Forwarder } from './forwarder.js';
import { GroupTime } from './group-time.js';
import { HotLog } from './hot-log.js';
import { Members } from './members.js';
import { NamespaceReads } from './namespace-reads.js';
import { Persister } from './persister.js';
import type { Clock, GroupLog, LinkState, Proposed, Turns } from './ports.js';
import { ProducerDesk } from './producer-desk.js';
import { ProducerOpenings } from './producer-openings.js';
import { Proposer } from './proposer.js';
import { ReadIndexes } from './read-indexes.js';
import { coreOf } from './recovered-core.js';
import type { ReplicaOptions } from './replica-options.js';
import { Replicator } from './replicator.js';
import { Retention } from './retention.js';
import { Snapshots } from './snapshots.js';
import { StreamState } from './stream-state.js';

/**
 * Drives one Raft group: feeds consensus with what happens, and carries out what it decides — write, send, commit.
 * Everything here runs in one turn of the event loop but the disk, so that no two decisions interleave.
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
  private readonly commitNotices: CommitNotices;
  private readonly forwarder: Forwarder;
  private readonly snapshots: Snapshots;
  private readonly retention: Retention;
  private readonly deadline: Deadline;
  private seenRole: { role: Role['name']; term: Term; leader: ActorId | undefined };
  readonly members: Members;
  readonly time: GroupTime;
  /** What the records that are committed and durable here mean. */
  readonly stream: StreamState;
  readonly producers: ProducerOpenings;
  private readonly persister: Persister;
  private stopped = false;
  readonly byNamespace = (turns?: Turns): NamespaceReads => new NamespaceReads(this, this.stored, turns);

  constructor(options: ReplicaOptions) {
    this.options = options;
    this.group = options.group;
    this.self = options.self;
    this.clock = options.clock;
    this.stored = options.storage.group(options.group);
    const { recovered } = this.stored;
    this.log = new HotLog(this.stored, options.cache, options.observer);
    this.core = coreOf(options, recovered);
    const { core, log, clock } = this;
    this.time = new GroupTime({ ...options, core });
    const basics = {
      ...options,
      core,
      log,
      time: this.time,
      stored: this.stored,
      onError: (error: unknown) => this.fail(error),
    };
    this.replicator = new Replicator({
      ...basics,
      send: (to, message, records) => options.transport.send(to, this.group, message, records),
      beginSnapshot: (plan) => this.snapshots.sender.begin(plan),
      onProgress: () => this.drive(),
    });
    this.persister = new Persister({
      ...basics,
      snapshot: () => this.snapshots.installed,
      onPersisted: (step, nowMs) => this.input(() => core.persisted(step, nowMs)),
    });
    this.readIndexes = new ReadIndexes({
      clock,
      firstRequestId: Math.floor(options.random() * 2 ** 40),
      ask: (requestId) => this.input(() => core.readIndex(requestId, clock.nowMs())),
    });
    this.commitWaiters = new CommitWaiters(recovered.commitIndex);
    this.members = new Members({
      node: options,
      core,
      log,
      clock,
      commitWaiters: this.commitWaiters,
      recovered: recovered.memberships,
      onChanged: options.onMembership,
      drive: () => this.guard(() => this.drive()),
    });
    const parts = { ...basics, members: this.members };
    this.stream = new StreamState({
      ...parts,
      storeCheckpoint: (checkpoint) => options.storage.persist([{ group: options.group, records: [], checkpoint }]),
      drive: () => this.guard(() => this.drive()),
      onBegin: () => this.snapshots.cut(),
    });
    this.producers = new ProducerOpenings({ ...parts, stream: this.stream });
    const desk = new ProducerDesk({ ...parts, stream: this.stream, openings: this.producers });
    this.forwarder = new Forwarder({ ...parts, commitWaiters: this.commitWaiters, input: (take) => this.input(take) });
    const { readIndexes, forwarder } = this;
    this.proposer = new Proposer({ ...parts, desk, readIndexes, forwarder, onProposed: () => this.drive() });
    this.snapshots = new Snapshots({
      ...parts,
      stream: this.stream,
      persist: (request) => void options.storage.persist([request]).catch((error: unknown) => this.fail(error)),
      send: (to, message) => options.transport.send(to, this.group, message, []),
    });
    this.retention = new Retention({ ...parts, stream: this.stream });
    this.commitNotices = new CommitNotices(core, clock, () => this.input(() => core.sendCommitNotices()));
    this.deadline = options.deadlines.add(() => this.input(() => core.tick(clock.nowMs())));
    this.seenRole = { role: core.role, term: core.term, leader: core.leader };
  }

  /** Begins to take part. */
  start(): void {
    this.snapshots.cut();
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

  /** What stands before the first record. */
  get begin(): LogTail {
    return this.log.begin;
  }

  get commitIndex(): LogIndex {
    return this.core.commitIndex;
  }

  get tail(): LogTail {
    return this.log.tail;
  }

  get storedBytes(): number {
    return this.stored.storedBytes;
  }

  get cachedBytes(): number {
    return this.log.cachedBytes;
  }

  get isQuiet(): boolean {
    return this.core.isQuiet;
  }

  /** While the group rests, because nothing happens in it: whose nodes this one's must hear, and be heard by. */
  get restsWith(): ActorId[] {
    return this.core.restsWith;
  }

  /** The latest in this node's log, committed or not. */
  get membership(): Membership {
    return this.members.latest;
  }

  /** What the leader knows each other member to hold durably; undefined on the others. */
  matchIndexes(): Map<ActorId, LogIndex> | undefined {
    return this.core.matchIndexes();
  }

  // Producing

  /**
   * Appends a batch that this node took in, by way of the leader. Resolves when it is committed and this node can serve
   * it. Rejects with NO_LEADER, NOT_LEADER, SHUTTING_DOWN or TOO_MANY_REQUESTS where it was certainly not proposed,
   * with OUTCOME_UNKNOWN where that can't be said.
   */
  async submit(body: PackedBody, stamp = NO_PRODUCER): Promise<Proposed> {
    if (this.stopped) throw new FlotillaError('SHUTTING_DOWN', 'the node is stopping; the batch was not proposed');
    return await (this.core.role === 'leader' || this.proposer.awaitsSuccessor
      ? this.proposer.propose(this.self, body, stamp)
      : this.forwarder.forward(body, stamp));
  }

  /** Appends a batch that another node took in. It is not passed on a second time. */
  async proposeFor(actor: ActorId, body: PackedBody, stamp = NO_PRODUCER): Promise<Proposed> {
    return this.proposer.propose(actor, body, stamp);
  }

  /**
   * Changes the members, through a joint configuration where that is needed. `introduced`: who the actors are that were
   * no members before. Resolves with what came of it when all of the change is committed; a learner that is to vote
   * does so later, by itself, once it has caught up. Rejects with INVALID_ARGUMENT where the change makes no sense,
   * with NOT_LEADER and MEMBERSHIP_CHANGING where it was certainly not begun, and with OUTCOME_UNKNOWN where it was and
   * has not ended in time.
   */
  async changeMembers(changes: readonly MemberChange[], introduced: readonly Member[] = []): Promise<Membership> {
    if (this.stopped) throw new FlotillaError('SHUTTING_DOWN', 'the node is stopping; the members were not changed');
    return await this.members.change(changes, introduced);
  }

  // Reading

  /** An index up to which a read sees everything acknowledged before this call; committed here when it resolves. */
  async confirmReadIndex(): Promise<LogIndex> {
    const index = await this.readIndexes.confirm();
    await this.commitWaiters.reached(index);
    // What the log says about its begin up to there is to be in force, too.
    await this.stream.reached(index);
    return index;
  }

  /**
   * Committed records from `from` on, as many as fit into `maxBytes`, at least one; POSITION_REMOVED where `from` was
   * given up.
   */
  read(from: LogIndex, to: LogIndex, maxBytes: number): LogRecord[] | Promise<LogRecord[]> {
    return this.log.read(from, logIndex(Math.min(to, this.core.commitIndex)), maxBytes);
  }

  /**
   * Resolves when `index` is committed here; rejects with CANCELLED when `signal` is aborted first, with SHUTTING_DOWN
   * when the node stops.
   */
  waitCommitted(index: LogIndex, signal?: AbortSignal): Promise<void> {
    return this.commitWaiters.reached(index, signal);
  }

  /** Index of the record that holds the event with this counter, committed or not; undefined where there is none. */
  indexOfCounter(counter: Counter): Promise<LogIndex | undefined> {
    return this.log.indexOfCounter(counter);
  }

  /** Index of the first record at or behind a time, committed or not; undefined where there is none. */
  indexOfTime(isLate: TimeBound): Promise<LogIndex | undefined> {
    return this.log.indexOfTime(isLate);
  }

  /**
   * Resolves at the next change of role, term, leader or members, when the node stops, and when `signal` is aborted.
   */
  roleChanged(signal?: AbortSignal): Promise<void> {
    return this.commitWaiters.roleChanged(signal);
  }

  // What comes in

  /** Throws INVALID_ARGUMENT, and changes nothing, where no member can have sent it. */
  onMessage(from: ActorId, message: Message, records: readonly LogRecord[]): void {
    this.core.requirePlausible(from, message);
    this.input(() => this.core.step(from, message, this.clock.nowMs()), records);
  }

  onLink(peer: ActorId, state: LinkState): void {
    this.input(() => this.core.linkChanged(peer, state, this.clock.nowMs()));
  }

  /** Nothing was heard of a node for an election time-out, or something was again. */
  onPresence(peer: ActorId, state: 'present' | 'silent'): void {
    this.input(() => this.core.peerPresence(peer, state, this.clock.nowMs()));
  }

  /** Clocks were compared: a leader that waited for that may stamp, and sees whether log time is right. */
  onClocks(): void {
    if (this.core.role === 'leader') this.input(() => this.retention.checkLogTime());
  }

  // Stopping

  /**
   * Hands leadership over, to whoever can take it best, or to `to`. Resolves when this node no longer leads, or the
   * time is up: with whether it was.
   */
  async handOver(timeoutMs: number, to?: ActorId): Promise<boolean> {
    if (this.stopped || !this.core.transferLeadership(to, this.clock.nowMs())) return false;
    const over = this.commitWaiters.roleChanged();
    this.drive();
    const timer = this.clock.after(timeoutMs, () => this.commitWaiters.wakeRole());
    await over;
    timer.cancel();
    return this.core.role !== 'leader';
  }

  /** Before the last {@link handOver}, if any: what waits for a successor that does not come is refused. */
  leave(): void {
    this.proposer.leave();
  }

  /** Takes part no more. What waits is told so; what was proposed has an unknown outcome. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.deadline.cancel();
    this.commitNotices.stop();
    this.proposer.stop();
    this.readIndexes.stop();
    this.commitWaiters.stop();
    this.retention.stop();
    this.stream.stop();
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
      this.persister.persist();
      this.noticeCommit();
      this.noticeRole();
      this.retention.notice();
      this.members.notice();
      this.commitNotices.plan();
      this.deadline.set(this.core.nextDeadlineMs);
      // Last of all, because an answer makes way for the next question, which is a turn of its own.
      for (const { requestId, index } of reads) this.readIndexes.settled(requestId, index);
    });
  }

  private carryOut(received: readonly LogRecord[]): ReadResult[] {
    const output = this.core.takeOutput();
    const { acceptedFrom } = output;
    this.snapshots.carryOut(output);
    if (acceptedFrom !== undefined) this.accept(received, acceptedFrom);
    for (const entry of output.ownEntries) this.sealOwn(entry);
    for (const { to, message } of output.messages) this.options.transport.send(to, this.group, message, []);
    for (let campaign = 0; campaign < output.campaigns; campaign++) this.options.observer.campaigned();
    return output.reads;
  }

  private sealOwn({ index, configuration }: OwnEntry): void {
    if (configuration !== undefined) this.members.seal(index, configuration);
    else this.log.seal({ kind: 'no-op', term: this.core.term, eventCount: 0, payloadBytes: 0 });
  }

  /** Takes over the leader's records, in place of whatever stood there. */
  private accept(received: readonly LogRecord[], from: LogIndex): void {
    const records = received.filter(({ index }) => index >= from && index <= this.core.lastIndex);
    this.log.replaceFrom(records);
    this.members.accepted(records, from);
  }

  private noticeCommit(): void {
    const { commitIndex, durableIndex } = this.core;
    // Above what is durable the storage may still hold another history, which it is about to truncate.
    const settledIndex = logIndex(Math.min(commitIndex, durableIndex));
    this.stored.noteCommitted(settledIndex);
    this.stream.advance(settledIndex);
    this.proposer.applied(this.stream.appliedIndex);
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
    this.proposer.roleChanged(seen.role === 'leader' && (role !== 'leader' || term !== seen.term));
    this.commitWaiters.wakeRole();
    this.options.observer.roleChanged(role, term, leader);
  }

  /** Lets consensus take something in, and carries out what it leads to. `received`: the records of an append. */
  private input(take: () => unknown, received: readonly LogRecord[] = []): void {
    if (this.stopped) return;
    this.guard(() => {
      take();
      this.drive(received);
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
