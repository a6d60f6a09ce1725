import { type ActorId, assert, LIMITS, type LogIndex, logIndex } from '../base/index.js';
import { isJoint, isLearner, isMember, isVoter, membersOf } from './configuration.js';
import { notePressure, yieldUnderPressure } from './disk-pressure.js';
import { changeConfiguration, leaveJoint } from './membership-change.js';
import type { Append, AppendResult, HeartbeatResult } from './messages.js';
import { Progress } from './progress.js';
import {
  asksToQuiesce,
  considerQuiescing,
  followerQuiesced,
  nextHeartbeatMs,
  quiesceOnceAgreed,
  wakeLeader,
} from './quiescence.js';
import { committedIndex, isQuorum } from './quorum.js';
import { ReadIndexQueue } from './read-index.js';
import type { LeaderRole, ServerState } from './server-state.js';
import { handOverWhenCaughtUp, startTransfer } from './transfer.js';
import type { Configuration, EntryInfo } from './types.js';

/** The place at which the next append to a follower begins. The driver adds as many entries as it likes to carry. */
export interface AppendPlan {
  readonly to: ActorId;
  readonly term: number;
  readonly previousIndex: LogIndex;
  /** The last entry there is. */
  readonly lastIndex: LogIndex;
}

/**
 * Opens the term with a no-op: only an entry of its own term tells a leader what is committed (sections 3.6.2 and 6.4).
 */
export function becomeLeader(server: ServerState): void {
  const noopIndex = logIndex(server.log.lastIndex + 1);
  const role: LeaderRole = {
    name: 'leader',
    progress: new Map(),
    noopIndex,
    reads: new ReadIndexQueue(),
    round: 0,
    heartbeatDueMs: server.nowMs,
    transfer: undefined,
    quiescence: { name: 'awake' },
  };
  server.role = role;
  followMembers(server, role);
  server.log.append(noopIndex, server.term);
  server.output.ownEntries.push({ index: noopIndex, configuration: undefined });
  startHeartbeatRound(server, role);
}

function followMembers(server: ServerState, role: LeaderRole): void {
  for (const actor of membersOf(server.configuration)) {
    if (actor === server.self || role.progress.has(actor)) continue;
    role.progress.set(
      actor,
      new Progress(logIndex(server.log.lastIndex + 1), server.nowMs, server.openLinks.has(actor)),
    );
  }
}

/** A server that has left gets the log until its leaving is committed, so that it may know. */
function forgetFormerMembers(server: ServerState, role: LeaderRole): void {
  const former = [...role.progress.keys()].filter((actor) => !isMember(server.configuration, actor));
  if (former.length === 0) return;
  sendCommitNotices(server, role);
  for (const actor of former) role.progress.delete(actor);
}

/** Why the members can't be changed now; undefined where they can. */
export type ChangeRefusal = 'handing over' | 'nothing committed yet' | 'another change is under way';

/**
 * A change begins where the one before it is committed, and only a leader that
 * has committed an entry of its own term knows that (section 4.1, and Ongaro's
 * correction of it, "bug in single-server membership changes", raft-dev 2015).
 */
export function refusalOfChange(server: ServerState, role: LeaderRole): ChangeRefusal | undefined {
  if (role.transfer !== undefined) return 'handing over';
  if (server.commitIndex < role.noopIndex) return 'nothing committed yet';
  const { index, configuration } = server.configurations.latest;
  return index > server.commitIndex || isJoint(configuration) ? 'another change is under way' : undefined;
}

/** Puts a configuration in force from now on, committed or not (section 4.1). */
export function appendConfiguration(server: ServerState, role: LeaderRole, configuration: Configuration): LogIndex {
  const index = logIndex(server.log.lastIndex + 1);
  server.log.append(index, server.term);
  server.configurations.append({ index, configuration });
  server.output.ownEntries.push({ index, configuration });
  followMembers(server, role);
  return index;
}

/**
 * Goes on with a change whose last step is committed: leaves a joint configuration, or the cluster; makes voters of
 * learners.
 */
export function goOnWithChange(server: ServerState, role: LeaderRole): void {
  const { index, configuration } = server.configurations.latest;
  if (role.transfer !== undefined || server.commitIndex < role.noopIndex || index > server.commitIndex) return;
  if (isJoint(configuration)) {
    appendConfiguration(server, role, leaveJoint(configuration));
    return;
  }
  forgetFormerMembers(server, role);
  if (!isVoter(configuration, server.self)) {
    leaveOffice(server, role);
  } else {
    const ready = configuration.learners.filter((actor) => isReadyToVote(server, role.progress.get(actor)));
    if (ready.length === 0) return;
    const changes = ready.map((actor) => ({ actor, to: 'voter' }) as const);
    appendConfiguration(server, role, changeConfiguration(configuration, changes));
  }
}

/** A voter that is not there would only raise the number that a majority needs. */
function isReadyToVote(server: ServerState, progress: Progress | undefined): boolean {
  if (progress === undefined || !progress.linkOpen || !progress.keepsUp) return false;
  return progress.lastHeardMs > server.nowMs - server.settings.electionTimeoutMs;
}

/**
 * A leader that votes no more has led until that was committed (section 4.2.2).
 * It hands over to one that has everything, and steps down: a server that campaigned
 * before might lose, and all would wait for a time-out.
 */
function leaveOffice(server: ServerState, role: LeaderRole): void {
  sendCommitNotices(server, role);
  if (!startTransfer(server, role, undefined)) server.becomeFollower(server.term, undefined);
}

/** The next append that may be sent to this follower now, if any. */
export function planAppend(server: ServerState, role: LeaderRole, to: ActorId): AppendPlan | undefined {
  const progress = role.progress.get(to);
  if (progress === undefined || !progress.mayAppend(server.settings.replicationWindow)) return undefined;
  if (progress.needsSnapshot(server.log.beginIndex)) return undefined;
  if (progress.state === 'replicate' && progress.nextIndex > server.log.lastIndex) return undefined;
  return { to, term: server.term, previousIndex: logIndex(progress.nextIndex - 1), lastIndex: server.log.lastIndex };
}

/**
 * Makes the message of a plan that still holds; undefined where leadership, the follower's state or the log moved on
 * meanwhile.
 */
export function fillAppend(
  server: ServerState,
  role: LeaderRole,
  plan: AppendPlan,
  entries: readonly EntryInfo[],
): Append | undefined {
  const progress = role.progress.get(plan.to);
  if (progress === undefined || plan.term !== server.term || progress.nextIndex !== plan.previousIndex + 1)
    return undefined;
  if (!progress.mayAppend(server.settings.replicationWindow) || progress.needsSnapshot(server.log.beginIndex))
    return undefined;
  const previousTerm = server.log.termAt(plan.previousIndex);
  assert(previousTerm !== undefined, `the entry before ${progress.nextIndex} is not in the log`);
  const lastIndex = entries.at(-1)?.index ?? plan.previousIndex;
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  progress.sent(lastIndex, bytes, server.nowMs);
  // A probe may not match, so it says nothing about what the follower knows.
  if (progress.state === 'replicate') progress.commitIndexSent = logIndex(Math.min(server.commitIndex, lastIndex));
  return {
    type: 'append',
    term: server.term,
    previousIndex: plan.previousIndex,
    previousTerm,
    commitIndex: server.commitIndex,
    entries,
  };
}

export function handleAppendResult(server: ServerState, role: LeaderRole, from: ActorId, message: AppendResult): void {
  const progress = role.progress.get(from);
  if (progress === undefined) return;
  progress.lastHeardMs = server.nowMs;
  if (!message.accepted) {
    if (!progress.isCurrentRefusal(message.index)) return;
    progress.probeFrom(logIndex(placeToMeet(server, message) + 1));
    return;
  }
  assert(
    message.index <= server.log.lastIndex,
    `node ${from} acknowledged entry ${message.index}, which this leader does not have`,
  );
  progress.acknowledged(message.index, server.nowMs);
  advanceCommit(server, role);
  if (server.role !== role) return;
  if (isLearner(server.configuration, from)) {
    progress.measureCatchUp(server.log.lastIndex, server.nowMs, server.settings.electionTimeoutMs);
    goOnWithChange(server, role);
  }
  handOverWhenCaughtUp(server, role);
}

/** The place at which the logs may meet by what a refusal says; below this log's begin, only a snapshot helps. */
function placeToMeet({ log }: ServerState, { hintIndex, hintTerm }: AppendResult): LogIndex {
  if (hintIndex < log.beginIndex) return hintIndex;
  const index = log.lastIndexAtMost(hintIndex, hintTerm);
  return log.termOrZero(index) > hintTerm ? logIndex(index - 1) : index;
}

export function handleHeartbeatResult(
  server: ServerState,
  role: LeaderRole,
  from: ActorId,
  message: HeartbeatResult,
): void {
  const progress = role.progress.get(from);
  if (progress === undefined) return;
  progress.lastHeardMs = server.nowMs;
  progress.confirmedRound = Math.max(progress.confirmedRound, message.round);
  notePressure(progress, message);
  progress.repeatUnanswered(server.nowMs - server.settings.electionTimeoutMs);
  confirmReads(server, role);
  if (message.quiesced) followerQuiesced(server, role, from, message.round);
}

/** Commits what a quorum holds durably, but only by counting entries of the own term (section 3.6.2, figure 3.7). */
export function advanceCommit(server: ServerState, role: LeaderRole): void {
  const index = committedIndex(server.configuration, (actor) => matchIndexOf(server, role, actor));
  if (index <= server.commitIndex || server.log.termAt(index) !== server.term) return;
  const first = server.commitIndex < role.noopIndex;
  server.commitIndex = index;
  if (first) {
    role.reads.noopCommitted(index);
    confirmReads(server, role);
  }
  goOnWithChange(server, role);
}

/** Whether some follower holds a committed entry and was not told that it is. */
export function owesCommitNotices(server: ServerState, role: LeaderRole): boolean {
  for (const progress of role.progress.values()) {
    if (progress.linkOpen && Math.min(progress.matchIndex, server.commitIndex) > progress.commitIndexSent) return true;
  }
  return false;
}

/** Tells each follower of commits that no append has told it of. Needs no answer: the next heartbeat repeats it. */
export function sendCommitNotices(server: ServerState, role: LeaderRole): void {
  for (const [peer, progress] of role.progress) {
    const index = logIndex(Math.min(progress.matchIndex, server.commitIndex));
    if (!progress.linkOpen || index <= progress.commitIndexSent) continue;
    progress.commitIndexSent = index;
    server.send(peer, { type: 'heartbeat', term: server.term, commitIndex: index, round: 0, quiesce: false });
  }
}

export function tickLeader(server: ServerState, role: LeaderRole): void {
  if (role.transfer !== undefined && server.nowMs >= role.transfer.untilMs) {
    role.transfer = undefined;
    goOnWithChange(server, role);
  }
  if (server.role !== role || server.nowMs < role.heartbeatDueMs) return;
  checkQuorum(server, role);
  if (server.role !== role) return;
  yieldUnderPressure(server, role);
  considerQuiescing(server, role);
  startHeartbeatRound(server, role);
  quiesceOnceAgreed(server, role);
}

export function startHeartbeatRound(server: ServerState, role: LeaderRole): void {
  role.round++;
  role.heartbeatDueMs = nextHeartbeatMs(server);
  const quiesce = asksToQuiesce(role);
  if (!quiesce) wakeLeader(server, role);
  for (const [peer, progress] of role.progress) {
    const index = logIndex(Math.min(progress.matchIndex, server.commitIndex));
    progress.commitIndexSent = index;
    server.send(peer, { type: 'heartbeat', term: server.term, commitIndex: index, round: role.round, quiesce });
  }
  confirmReads(server, role);
}

/** A leader that no quorum has answered for an election time-out steps down: it could commit nothing (section 6.2). */
function checkQuorum(server: ServerState, role: LeaderRole): void {
  const since = server.nowMs - server.settings.electionTimeoutMs;
  const active = isQuorum(
    server.configuration,
    (actor) => actor === server.self || (role.progress.get(actor)?.lastHeardMs ?? 0) > since,
  );
  if (!active) server.becomeFollower(server.term, undefined);
}

/**
 * Takes a read of `from`, to be confirmed by the next heartbeat round that
 * begins from now on. It is dropped where too many wait: its server asks again.
 */
export function addRead(server: ServerState, role: LeaderRole, from: ActorId, requestId: number): void {
  if (role.reads.length >= LIMITS.pendingReadIndexes) return;
  const index = server.commitIndex >= role.noopIndex ? server.commitIndex : undefined;
  role.reads.add(from, requestId, index, role.round + 1);
  if (confirmedRound(server, role) === role.round) startHeartbeatRound(server, role);
}

function confirmReads(server: ServerState, role: LeaderRole): void {
  const round = confirmedRound(server, role);
  for (const read of role.reads.confirm(round)) {
    if (read.from === server.self) server.output.reads.push({ requestId: read.requestId, index: read.index });
    else
      server.send(read.from, {
        type: 'read-index-response',
        term: server.term,
        requestId: read.requestId,
        index: read.index,
      });
  }
  if (round === role.round && role.reads.needsRoundAfter(round)) startHeartbeatRound(server, role);
}

/** The latest round that a quorum has answered. */
function confirmedRound(server: ServerState, role: LeaderRole): number {
  return committedIndex(server.configuration, (actor) =>
    logIndex(actor === server.self ? role.round : (role.progress.get(actor)?.confirmedRound ?? 0)),
  );
}

export function matchIndexOf(server: ServerState, role: LeaderRole, actor: ActorId): LogIndex {
  if (actor === server.self) return server.durability.durableIndex;
  return role.progress.get(actor)?.matchIndex ?? logIndex(0);
}
