import { type ActorId, assert, type LogIndex, logIndex, type Random, type Term } from '../base/index.js';
import { ConfigurationHistory, type IndexedConfiguration, isOnlyVoter } from './configuration.js';
import { diskPressureChanged, type EventRefusal, refusalOfEvents } from './disk-pressure.js';
import type { PersistStep } from './durability.js';
import { countOwnVote, startPreVote } from './election.js';
import { acknowledgeDurable } from './follower.js';
import {
  type AppendPlan,
  addRead,
  advanceCommit,
  appendConfiguration,
  type ChangeRefusal,
  fillAppend,
  matchIndexOf,
  owesCommitNotices,
  planAppend,
  refusalOfChange,
  sendCommitNotices,
  tickLeader,
} from './leader.js';
import { LogShape } from './log-shape.js';
import { changeConfiguration, type MemberChange } from './membership-change.js';
import type { Append, Message } from './messages.js';
import { type LinkChange, linkChanged, peerPresenceChanged } from './peers.js';
import { isQuiesced, wakeFollower, wakeLeader, watchedPeers } from './quiescence.js';
import { requirePlausible } from './refusal.js';
import { emptyOutput, type Output, type Role, ServerState, type Settings } from './server-state.js';
import { cutThrough, installSnapshot, type SnapshotPlan, takeSnapshotPlan } from './snapshot.js';
import { step } from './step.js';
import { startTransfer } from './transfer.js';
import type { Configuration, DiskPressure, EntryInfo, HardState, TermStart } from './types.js';

export interface CoreOptions {
  readonly self: ActorId;
  readonly settings: Settings;
  readonly random: Random;
  readonly nowMs: number;
  /** Holds until {@link RaftCore.diskPressureChanged} tells another. Default: ok. */
  readonly diskPressure?: DiskPressure;
  readonly hardState: HardState;
  readonly begin: { readonly index: LogIndex; readonly term: Term };
  readonly termStarts: readonly TermStart[];
  readonly lastIndex: LogIndex;
  readonly configurations: readonly IndexedConfiguration[];
  readonly commitIndex: LogIndex;
}

/**
 * Raft for one group, as a state machine without clock, entropy, disk or
 * network: it is given what happens and hands out what to do (Ongaro,
 * "Consensus: Bridging Theory and Practice", 2014).
 *
 * Inputs: {@link step} a message, {@link tick} the passing of time,
 * {@link propose} an entry, {@link persisted} a finished write, {@link linkChanged}, {@link peerPresence}.
 * Outputs: {@link takeOutput}, {@link takePersistStep}, {@link planAppend}.
 * The driver passes its monotonic clock along as `nowMs`.
 */
export class RaftCore {
  private readonly server: ServerState;
  readonly requirePlausible = (from: ActorId, message: Message): void => requirePlausible(this.server, from, message);

  constructor(options: CoreOptions) {
    this.server = new ServerState({
      ...options,
      diskPressure: options.diskPressure ?? 'ok',
      log: new LogShape(options.begin, options.termStarts, options.lastIndex),
      configurations: new ConfigurationHistory(options.configurations),
    });
    const { settings, begin, commitIndex, lastIndex } = options;
    assert(commitIndex >= begin.index && commitIndex <= lastIndex, `commit index ${commitIndex} outside the log`);
    // No leader is known yet. A running leader is heard long before this, and pre-vote keeps an early campaign
    // harmless.
    this.server.resetElectionDeadline(settings.electionTimeoutMs / 4, settings.electionTimeoutMs / 2);
    if (this.server.mayCampaign && isOnlyVoter(this.configuration, this.server.self))
      this.server.electionDeadlineMs = options.nowMs;
  }

  get term(): Term {
    return this.server.term;
  }

  get role(): Role['name'] {
    return this.server.role.name;
  }

  /** The leader of this term, where it is known. */
  get leader(): ActorId | undefined {
    return this.server.leader;
  }

  get commitIndex(): LogIndex {
    return this.server.commitIndex;
  }

  /** The log holds the entries after this one. */
  get beginIndex(): LogIndex {
    return this.server.log.beginIndex;
  }

  get lastIndex(): LogIndex {
    return this.server.log.lastIndex;
  }

  get durableIndex(): LogIndex {
    return this.server.durability.durableIndex;
  }

  get configuration(): Configuration {
    return this.server.configuration;
  }

  termAt(index: LogIndex): Term | undefined {
    return this.server.log.termAt(index);
  }

  /**
   * The leader's first entry in its term: only when this is committed does it know what is. Undefined where this
   * server does not lead.
   */
  get noopIndex(): LogIndex | undefined {
    return this.server.role.name === 'leader' ? this.server.role.noopIndex : undefined;
  }

  /** Whether the configurations mean another server by this one's name; see `ServerState.mayCampaign`. */
  set hasStaleIdentity(hasStaleIdentity: boolean) {
    this.server.hasStaleIdentity = hasStaleIdentity;
  }

  /** What the leader knows each other member to hold; undefined where this server does not lead. */
  matchIndexes(): Map<ActorId, LogIndex> | undefined {
    const { role } = this.server;
    if (role.name !== 'leader') return undefined;
    return new Map([...role.progress.keys()].map((actor) => [actor, matchIndexOf(this.server, role, actor)]));
  }

  /** The servers that get the log from this one now; none where it does not lead. */
  get followers(): ActorId[] {
    return this.server.role.name === 'leader' ? [...this.server.role.progress.keys()] : [];
  }

  /** When {@link tick} has something to do next, unless other input comes before. */
  get nextDeadlineMs(): number {
    const { role } = this.server;
    if (this.isQuiesced) return Number.POSITIVE_INFINITY;
    if (role.name === 'leader')
      return Math.min(role.heartbeatDueMs, role.transfer?.untilMs ?? Number.POSITIVE_INFINITY);
    return this.server.mayCampaign ? this.server.electionDeadlineMs : Number.POSITIVE_INFINITY;
  }

  /** Nothing happens in the group: this server sends no heartbeats, and awaits none. */
  get isQuiesced(): boolean {
    return isQuiesced(this.server);
  }

  /** The peers whose nodes this server's node must hear, and be heard by, while it is quiesced. */
  get watchedPeers(): ActorId[] {
    return watchedPeers(this.server);
  }

  /** Lets time pass: heartbeats, elections, time-outs. */
  tick(nowMs: number): void {
    this.observe(nowMs);
    const { role } = this.server;
    if (this.isQuiesced) return;
    if (role.name === 'leader') tickLeader(this.server, role);
    else if (this.server.mayCampaign && nowMs >= this.server.electionDeadlineMs) startPreVote(this.server);
  }

  /** Takes in a message of another member; {@link requirePlausible} has let it through before. */
  step(from: ActorId, message: Message, nowMs: number): void {
    this.observe(nowMs);
    step(this.server, from, message);
  }

  /** While this is so, nothing is proposed. */
  get isHandingOver(): boolean {
    return this.server.role.name === 'leader' && this.server.role.transfer !== undefined;
  }

  /**
   * Appends an entry to the leader's log. Undefined where this server does not lead, or is handing leadership over:
   * then nothing was proposed.
   */
  propose(nowMs: number): LogIndex | undefined {
    this.observe(nowMs);
    const { server } = this;
    if (server.role.name !== 'leader' || server.role.transfer !== undefined) return undefined;
    wakeLeader(server, server.role);
    const index = logIndex(server.log.lastIndex + 1);
    server.log.append(index, server.term);
    return index;
  }

  /**
   * Begins to change the members: the first configuration of the change is appended (see the output's `ownEntries`);
   * what follows from it the leader does by itself. Throws INVALID_ARGUMENT where the change makes no sense.
   */
  changeMembers(changes: readonly MemberChange[], nowMs: number): LogIndex | 'not the leader' | ChangeRefusal {
    this.observe(nowMs);
    const { server } = this;
    const { role } = server;
    if (role.name !== 'leader') return 'not the leader';
    const refusal = refusalOfChange(server, role);
    if (refusal !== undefined) return refusal;
    const configuration = changeConfiguration(server.configuration, changes);
    wakeLeader(server, role);
    return appendConfiguration(server, role, configuration);
  }

  /** The leader is about to be asked for something: a follower that has quiesced counts on hearing it again. */
  expectLeader(nowMs: number): void {
    this.observe(nowMs);
    if (this.server.role.name === 'follower') wakeFollower(this.server, this.server.role);
  }

  /**
   * Asks for an index that is safe to read at; the answer is in the output's `reads`. False where no leader is known.
   */
  readIndex(requestId: number, nowMs: number): boolean {
    this.expectLeader(nowMs);
    const { server } = this;
    if (server.role.name === 'leader') addRead(server, server.role, server.self, requestId);
    else if (server.leader !== undefined)
      server.send(server.leader, { type: 'read-index-request', term: server.term, requestId });
    else return false;
    return true;
  }

  /** The next write for the storage; none while one is under way. */
  takePersistStep(): PersistStep | undefined {
    return this.server.durability.takeStep(this.server.log.lastIndex, this.server.currentHardState);
  }

  /** The step is on disk. */
  persisted(step: PersistStep, nowMs: number): void {
    this.observe(nowMs);
    const { server } = this;
    server.durability.stepCompleted(step);
    // What was promised in a term that has passed since is kept back: its entries may have been cut off.
    const free = server.durability.release().filter(({ message }) => message.term >= server.term);
    server.output.messages.push(...free);
    if (server.durability.hardStateIsDurable) countOwnVote(server);
    if (server.role.name === 'leader') advanceCommit(server, server.role);
    acknowledgeDurable(server);
  }

  /** The link to a peer opened or was lost. */
  linkChanged(peer: ActorId, state: LinkChange, nowMs: number): void {
    this.observe(nowMs);
    linkChanged(this.server, peer, state);
  }

  /** Nothing was heard of the peer's node for an election time-out, whatever the group; or something was again. */
  peerPresence(peer: ActorId, state: 'present' | 'silent', nowMs: number): void {
    this.observe(nowMs);
    peerPresenceChanged(this.server, peer, state);
  }

  /** How much this server's disk takes from now on. */
  diskPressureChanged(level: DiskPressure, nowMs: number): void {
    this.observe(nowMs);
    diskPressureChanged(this.server, level);
  }

  /** Why events may not be proposed, as far as disks go; undefined where they may. Wakes a leader that refuses. */
  refusalOfEvents(): EventRefusal | undefined {
    return refusalOfEvents(this.server);
  }

  /** The followers to which something may be sent now, with where to begin. */
  planAppend(to: ActorId): AppendPlan | undefined {
    return this.server.role.name === 'leader' ? planAppend(this.server, this.server.role, to) : undefined;
  }

  /**
   * Turns a plan and its entries (they follow `plan.previousIndex`) into a message; undefined where the plan is out of
   * date.
   */
  fillAppend(plan: AppendPlan, entries: readonly EntryInfo[], nowMs: number): Append | undefined {
    this.observe(nowMs);
    return this.server.role.name === 'leader' ? fillAppend(this.server, this.server.role, plan, entries) : undefined;
  }

  /** The snapshot that a follower needs, if it needs one and none is under way. From here on it is. */
  takeSnapshotPlan(to: ActorId): SnapshotPlan | undefined {
    return this.server.role.name === 'leader' ? takeSnapshotPlan(this.server, this.server.role, to) : undefined;
  }

  /** Whether this follower still waits for the snapshot that ends with this entry. */
  isTakingSnapshot(to: ActorId, index: LogIndex): boolean {
    return this.server.role.name === 'leader' && this.server.role.progress.get(to)?.isTakingSnapshot(index) === true;
  }

  /** So much is here now of the snapshot whose piece was taken in: the leader goes on from there. */
  snapshotReceived(from: ActorId, index: LogIndex, receivedBytes: number): void {
    this.server.send(from, { type: 'snapshot-result', term: this.server.term, index, receivedBytes });
  }

  /**
   * All pieces of a snapshot have come (see the output's `snapshotChunk`): the log gives way to it. Call before any
   * other input.
   */
  installSnapshot(begin: TermStart, inForce: IndexedConfiguration): void {
    installSnapshot(this.server, begin, inForce);
  }

  /** The entries up to `index`, which is durable and committed, are given up. */
  cutThrough(index: LogIndex): void {
    cutThrough(this.server, index);
  }

  /** An append or a piece of a snapshot that was to be sent was dropped. */
  appendDropped(to: ActorId): void {
    if (this.server.role.name === 'leader') this.server.role.progress.get(to)?.restart();
  }

  /** Whether some follower holds a committed entry and has not been told that it is. */
  get owesCommitNotices(): boolean {
    return this.server.role.name === 'leader' && owesCommitNotices(this.server, this.server.role);
  }

  /** Tells the followers of commits that no append has told them of. */
  sendCommitNotices(): void {
    if (this.server.role.name === 'leader') sendCommitNotices(this.server, this.server.role);
  }

  /**
   * The leader says that the entry of this index and term is committed: if it is in this log, it is committed here (log
   * matching).
   */
  learnCommitted(index: LogIndex, entryTerm: Term): void {
    if (this.server.log.matches(index, entryTerm))
      this.server.commitIndex = logIndex(Math.max(this.server.commitIndex, index));
  }

  /** Hands leadership over. False where this server does not lead or there is no one to take it. */
  transferLeadership(to: ActorId | undefined, nowMs: number): boolean {
    this.observe(nowMs);
    const { role } = this.server;
    if (role.name !== 'leader') return false;
    wakeLeader(this.server, role);
    return startTransfer(this.server, role, to);
  }

  takeOutput(): Output {
    const { output } = this.server;
    this.server.output = emptyOutput();
    return output;
  }

  private observe(nowMs: number): void {
    assert(nowMs >= this.server.nowMs, 'the clock is monotonic');
    this.server.nowMs = nowMs;
  }
}
