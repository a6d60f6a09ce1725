import {
  type ActorId,
  type Counter,
  type GroupId,
  type LogIndex,
  logIndex,
  type Seat,
  type Term,
  type TimeBound,
} from '../base/index.js';
import type { Command, Proposed, StateMachine } from '../machine/index.js';
import type { DiskPressure, MemberChange, Message, OwnEntry, RaftCore, Role } from '../raft/index.js';
import type { LogRecord, LogTail, Membership } from '../wire/index.js';
import { AdmissionQueue } from './admission-queue.js';
import { AppliedState } from './applied-state.js';
import { CommitNotices } from './commit-notices.js';
import type { Deadline } from './deadlines.js';
import { Entries } from './entries.js';
import { Forwarder } from './forwarder.js';
import type { GroupListener } from './group-listener.js';
import type { GroupOptions, MachineOptions } from './group-options.js';
import { type GroupParts, partsOf } from './group-parts.js';
import { GroupTime } from './group-time.js';
import { IndexWaiters } from './index-waiters.js';
import { LogCutter } from './log-cutter.js';
import { Members } from './members.js';
import { Persister } from './persister.js';
import type { LinkState } from './ports.js';
import { Proposer } from './proposer.js';
import { ReadIndexes } from './read-indexes.js';
import { stopping } from './refusals.js';
import { Replicator } from './replicator.js';
import { RoleWaiters } from './role-waiters.js';
import { Snapshots } from './snapshots.js';

/**
 * This node's part in one Raft group: feeds consensus with what happens, and carries out what it decides — write,
 * send, commit, apply to the state machine that runs on the group. Everything here happens in the turns of one inbox,
 * so that no two decisions interleave; only the disk is waited for.
 */
export class Group<C extends Command, M extends StateMachine> {
  readonly id: GroupId;
  readonly self: ActorId;
  /** The members, and changes of what is known of them. */
  readonly members: Members;
  /** The time, as a majority's clocks say it. */
  readonly time: GroupTime;
  /** What the records that are committed and durable here have led to. */
  readonly state: AppliedState<M>;
  private readonly parts: GroupParts;
  private readonly committed: IndexWaiters;
  private readonly roles = new RoleWaiters();
  private readonly readIndexes: ReadIndexes;
  private readonly forwarder: Forwarder<C>;
  private readonly proposer: Proposer<C, M>;
  private readonly snapshots: Snapshots;
  private readonly cutter: LogCutter;
  private readonly replicator: Replicator;
  private readonly persister: Persister;
  private readonly commitNotices: CommitNotices;
  private readonly deadline: Deadline;
  private readonly listeners: GroupListener[] = [];
  /** The records of the append that is being taken in. */
  private received: readonly LogRecord[] = [];
  private seenRole: { readonly role: Role['name']; readonly term: Term; readonly leader: ActorId | undefined };
  private stopped = false;

  constructor({ node, ...own }: GroupOptions & MachineOptions<C, M>) {
    const options = { ...node, ...own };
    const { clock, kind } = options;
    this.id = options.group;
    this.self = options.self;
    const parts = partsOf(options);
    const { core, inbox, stored } = parts;
    const { recovered } = stored;
    this.parts = parts;
    const time = new GroupTime(parts);
    const committed = new IndexWaiters(recovered.commitIndex);
    const readIndexes = new ReadIndexes(parts, Math.floor(options.random() * 2 ** 40));
    const members = new Members({ ...parts, committed, roles: this.roles, recovered: recovered.memberships });
    const state = new AppliedState<M>(parts);
    const snapshots = new Snapshots({ ...parts, members, state });
    const forwarder = new Forwarder<C>({ ...parts, committed, send: options.forward });
    const queue = new AdmissionQueue<C, M>({ ...parts, kind, state, readIndexes });
    this.time = time;
    this.committed = committed;
    this.readIndexes = readIndexes;
    this.members = members;
    this.state = state;
    this.snapshots = snapshots;
    this.cutter = new LogCutter({ ...parts, members, state });
    this.forwarder = forwarder;
    const entries = new Entries<C>({ ...parts, kind, time });
    this.proposer = new Proposer<C, M>({ ...parts, entries, queue, forwarder });
    this.replicator = new Replicator({ ...parts, snapshots: snapshots.sender });
    this.persister = new Persister({ ...parts, snapshots });
    this.commitNotices = new CommitNotices(parts);
    this.deadline = options.deadlines.add(() => inbox.post(() => core.tick(clock.nowMs())));
    this.seenRole = { role: core.role, term: core.term, leader: core.leader };
    inbox.open({
      turn: () => this.turn(),
      failed: (error) => {
        this.stop();
        options.onFatal(error);
      },
    });
  }

  /** Begins to take part. */
  start(): void {
    this.parts.inbox.post();
  }

  /** Before {@link start}. */
  listen(listener: GroupListener): void {
    this.listeners.push(listener);
  }

  // What other parts of the node see

  // What others see

  get incarnation(): string {
    return this.parts.stored.recovered.incarnation;
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

  /** This node leads, and knows all that was committed before it did. */
  get leadsWithCertainty(): boolean {
    const { role, commitIndex, noopIndex } = this.core;
    return role === 'leader' && commitIndex >= (noopIndex ?? Number.POSITIVE_INFINITY);
  }

  /** What stands before the first record. */
  get begin(): LogTail {
    return this.parts.log.begin;
  }

  get commitIndex(): LogIndex {
    return this.core.commitIndex;
  }

  get tail(): LogTail {
    return this.parts.log.tail;
  }

  get cachedBytes(): number {
    return this.parts.log.cachedBytes;
  }

  get storedBytes(): number {
    return this.parts.stored.storedBytes;
  }

  get isQuiesced(): boolean {
    return this.core.isQuiesced;
  }

  /** While the group is quiescent: the nodes that this one must hear, and be heard by. */
  get watchedPeers(): ActorId[] {
    return this.core.watchedPeers;
  }

  /** The latest in this node's log, committed or not. */
  get membership(): Membership {
    return this.members.latest;
  }

  /** What the leader knows each other member to hold durably; undefined on the others. */
  matchIndexes(): Map<ActorId, LogIndex> | undefined {
    return this.core.matchIndexes();
  }

  // Proposing

  /**
   * Proposes a command from any node: it is passed on, once, to the leader. Resolves when it is committed and known to
   * be so here. Rejects with NO_LEADER, NOT_LEADER, SHUTTING_DOWN or TOO_MANY_REQUESTS where it was certainly not
   * proposed, with OUTCOME_UNKNOWN where that can't be said, and as the state machine refuses it.
   */
  async submit(command: C): Promise<Proposed> {
    if (this.stopped) throw stopping();
    return await (this.proposer.takesOwn ? this.proposer.propose(command) : this.forwarder.forward(command));
  }

  /** As {@link submit}, on the leader only: the command is not passed on. */
  async propose(command: C): Promise<Proposed> {
    return await this.proposer.propose(command);
  }

  /** As {@link propose}; resolves when the command has taken effect here. */
  async execute(command: C): Promise<Proposed> {
    const proposed = await this.propose(command);
    await this.state.reachedByProposal(proposed.index);
    return proposed;
  }

  /**
   * Changes the members, through a joint configuration where that is needed. `introduced`: the seats of actors that
   * were no members before. Resolves when all of the change is committed; a learner votes later, once it has caught up.
   * Rejects with INVALID_ARGUMENT where the change makes no sense, with OUTCOME_UNKNOWN where it has not ended in time,
   * and with other codes where it was not begun.
   */
  async changeMembers(changes: readonly MemberChange[], introduced: readonly Seat[] = []): Promise<Membership> {
    return await this.members.change(changes, introduced);
  }

  // Reading

  /** An index up to which a read sees everything acknowledged before this call; it has taken effect here. */
  async confirmReadIndex(): Promise<LogIndex> {
    const index = await this.readIndexes.confirm();
    await this.committed.reached(index);
    await this.state.reached(index);
    return index;
  }

  /** Committed records from `from` on: what fits into `maxBytes`, at least one. POSITION_REMOVED: it was given up. */
  read(from: LogIndex, to: LogIndex, maxBytes: number): LogRecord[] | Promise<LogRecord[]> {
    return this.parts.log.read(from, logIndex(Math.min(to, this.core.commitIndex)), maxBytes);
  }

  /** Resolves when `index` is committed here; rejects with CANCELLED on `signal`, and with SHUTTING_DOWN. */
  waitCommitted(index: LogIndex, signal?: AbortSignal): Promise<void> {
    return this.committed.reached(index, signal);
  }

  /** Index of the record that holds the event with this counter, committed or not; undefined where there is none. */
  indexOfCounter(counter: Counter): Promise<LogIndex | undefined> {
    return this.parts.log.indexOfCounter(counter);
  }

  /** Index of the first record at or behind a time, committed or not; undefined where there is none. */
  indexOfTime(isLate: TimeBound): Promise<LogIndex | undefined> {
    return this.parts.log.indexOfTime(isLate);
  }

  /**
   * Resolves at the next change of role, term, leader or members, when the node stops, and when `signal` is aborted.
   */
  roleChanged(signal?: AbortSignal): Promise<void> {
    return this.roles.changed(signal);
  }

  // What comes in

  /** Throws INVALID_ARGUMENT, and changes nothing, where no member can have sent it. */
  onMessage(from: ActorId, message: Message, records: readonly LogRecord[]): void {
    const { core, clock, inbox } = this.parts;
    core.requirePlausible(from, message);
    inbox.post(() => {
      this.received = records;
      core.step(from, message, clock.nowMs());
    });
  }

  onLink(peer: ActorId, state: LinkState): void {
    const { core, clock, inbox } = this.parts;
    inbox.post(() => core.linkChanged(peer, state, clock.nowMs()));
  }

  /** Nothing was heard of a node for an election time-out, or something was again. */
  onPresence(peer: ActorId, state: 'present' | 'silent'): void {
    const { core, clock, inbox } = this.parts;
    inbox.post(() => core.peerPresence(peer, state, clock.nowMs()));
  }

  /** How much the disk of this node takes from now on. */
  onDiskPressure(level: DiskPressure): void {
    const { core, clock, inbox } = this.parts;
    inbox.post(() => core.diskPressureChanged(level, clock.nowMs()));
  }

  /** Clocks were compared: a leader that waited for that may stamp. */
  onClocks(): void {
    if (this.core.role !== 'leader') return;
    this.parts.inbox.post(() => {
      for (const listener of this.listeners) listener.clocksCompared?.();
    });
  }

  // Stopping

  /** Hands leadership over, to the member that can take it best or to `to`; resolves with whether that was in time. */
  async handOver(timeoutMs: number, to?: ActorId): Promise<boolean> {
    const { core, clock, inbox } = this.parts;
    if (this.stopped || !core.transferLeadership(to, clock.nowMs())) return false;
    const over = this.roles.changed();
    inbox.post();
    const timer = clock.after(timeoutMs, () => this.roles.wake());
    await over;
    timer.cancel();
    return core.role !== 'leader';
  }

  /** Before the last {@link handOver}, if any: what waits for a successor that does not come is refused. */
  leave(): void {
    this.proposer.leave();
  }

  /** Takes part no more. What waits is told so; what was proposed has an unknown outcome. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.parts.inbox.close();
    this.deadline.cancel();
    this.commitNotices.stop();
    this.proposer.stop();
    this.readIndexes.stop();
    this.committed.stop();
    this.roles.wake();
    this.state.stop();
    for (const listener of this.listeners) listener.stopped?.();
  }

  // The turn

  private get core(): RaftCore {
    return this.parts.core;
  }

  /** Carries out everything that an input has led to. */
  private turn(): void {
    this.carryOut();
    this.proposer.flush();
    this.replicator.sendAll();
    this.carryOut();
    this.persister.persist();
    this.noticeCommit();
    this.noticeRole();
    this.cutter.cut();
    this.members.notice();
    this.commitNotices.plan();
    for (const listener of this.listeners) listener.turned?.();
    this.deadline.set(this.core.nextDeadlineMs);
  }

  private carryOut(): void {
    const { core, transport, observer } = this.parts;
    const output = core.takeOutput();
    this.snapshots.carryOut(output);
    if (output.acceptedFrom !== undefined) this.accept(output.acceptedFrom);
    this.received = [];
    for (const entry of output.ownEntries) this.sealOwn(entry);
    for (const { to, message } of output.messages) transport.send(to, this.id, message, []);
    for (let campaign = 0; campaign < output.campaigns; campaign++) observer.campaigned();
    for (const { requestId, index } of output.reads) this.readIndexes.settled(requestId, index);
  }

  private sealOwn({ index, configuration }: OwnEntry): void {
    const { core, log } = this.parts;
    if (configuration !== undefined) this.members.seal(index, configuration);
    else log.seal({ kind: 'no-op', term: core.term, eventCount: 0, payloadBytes: 0 });
  }

  /** Takes over the leader's records, in place of whatever stood there. */
  private accept(from: LogIndex): void {
    const { core, log } = this.parts;
    const records = this.received.filter(({ index }) => index >= from && index <= core.lastIndex);
    log.replaceFrom(records);
    this.members.accepted(records, from);
  }

  private noticeCommit(): void {
    const { core, log, stored } = this.parts;
    const { commitIndex, durableIndex } = core;
    // Above what is durable the storage may still hold another history, which it is about to truncate.
    const settledIndex = logIndex(Math.min(commitIndex, durableIndex));
    stored.noteCommitted(settledIndex);
    this.state.advance(settledIndex);
    this.proposer.applied(this.state.appliedIndex);
    log.evict(settledIndex);
    if (commitIndex === this.committed.index) return;
    this.proposer.committed(commitIndex);
    this.committed.advance(commitIndex);
  }

  private noticeRole(): void {
    const { role, term, leader } = this.core;
    const seen = this.seenRole;
    if (role === seen.role && term === seen.term && leader === seen.leader) return;
    this.seenRole = { role, term, leader };
    this.proposer.roleChanged(seen.role === 'leader' && (role !== 'leader' || term !== seen.term));
    this.roles.wake();
    this.parts.observer.roleChanged(role, term, leader);
  }
}
