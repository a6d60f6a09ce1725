import { type ActorId, assert, LIMITS, type LogIndex, logIndex } from '../base/index.js';
import { membersOf } from './configuration.js';
import type { Append, AppendResult, HeartbeatResult } from './messages.js';
import { Progress } from './progress.js';
import { committedIndex, isQuorum } from './quorum.js';
import { ReadIndexQueue } from './read-index.js';
import type { LeaderRole, ServerState } from './server-state.js';
import type { EntryInfo } from './types.js';

/** Where the next append to a follower begins. The driver adds as many entries as it likes to carry. */
export interface AppendPlan {
  readonly to: ActorId;
  readonly term: number;
  readonly previousIndex: LogIndex;
  /** The last entry there is. */
  readonly lastIndex: LogIndex;
}

/** Opens the term with a no-op: only an entry of its own term tells a leader what is committed (sections 3.6.2 and 6.4). */
export function becomeLeader(server: ServerState): void {
  const noopIndex = logIndex(server.log.lastIndex + 1);
  const progress = new Map<ActorId, Progress>();
  for (const peer of membersOf(server.configuration)) {
    if (peer !== server.self) progress.set(peer, new Progress(noopIndex, server.nowMs, server.openLinks.has(peer)));
  }
  const role: LeaderRole = {
    name: 'leader',
    progress,
    noopIndex,
    reads: new ReadIndexQueue(),
    round: 0,
    heartbeatDueMs: server.nowMs,
    transfer: undefined,
  };
  server.role = role;
  server.log.append(noopIndex, server.term);
  server.output.noopIndex = noopIndex;
  startHeartbeatRound(server, role);
}

/** The next append that may be sent to this follower now, if any. */
export function planAppend(server: ServerState, role: LeaderRole, to: ActorId): AppendPlan | undefined {
  const progress = role.progress.get(to);
  if (progress === undefined || !progress.mayAppend(server.settings.replicationWindow)) return undefined;
  if (progress.state === 'replicate' && progress.nextIndex > server.log.lastIndex) return undefined;
  return { to, term: server.term, previousIndex: logIndex(progress.nextIndex - 1), lastIndex: server.log.lastIndex };
}

/** Makes the message of a plan that still holds; undefined where leadership, the follower's state or the log moved on meanwhile. */
export function fillAppend(server: ServerState, role: LeaderRole, plan: AppendPlan, entries: readonly EntryInfo[]): Append | undefined {
  const progress = role.progress.get(plan.to);
  if (progress === undefined || plan.term !== server.term || progress.nextIndex !== plan.previousIndex + 1) return undefined;
  if (!progress.mayAppend(server.settings.replicationWindow)) return undefined;
  const previousTerm = server.log.termAt(plan.previousIndex);
  assert(previousTerm !== undefined, `the entry before ${progress.nextIndex} is not in the log`);
  const lastIndex = entries.at(-1)?.index ?? plan.previousIndex;
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  progress.sent(lastIndex, bytes, server.nowMs);
  // A probe may not match, so it says nothing about what the follower knows.
  if (progress.state === 'replicate') progress.commitIndexSent = logIndex(Math.min(server.commitIndex, lastIndex));
  return { type: 'append', term: server.term, previousIndex: plan.previousIndex, previousTerm, commitIndex: server.commitIndex, entries };
}

export function handleAppendResult(server: ServerState, role: LeaderRole, from: ActorId, message: AppendResult): void {
  const progress = role.progress.get(from);
  if (progress === undefined) return;
  progress.lastHeardMs = server.nowMs;
  if (!message.accepted) {
    if (!progress.isCurrentRefusal(message.index)) return;
    progress.probeFrom(logIndex(server.log.lastIndexAtMost(message.hintIndex, message.hintTerm) + 1));
    return;
  }
  assert(message.index <= server.log.lastIndex, `node ${from} acknowledged entry ${message.index}, which this leader does not have`);
  progress.acknowledged(message.index, server.nowMs);
  advanceCommit(server, role);
  handOverWhenCaughtUp(server, role);
}

export function handleHeartbeatResult(server: ServerState, role: LeaderRole, from: ActorId, message: HeartbeatResult): void {
  const progress = role.progress.get(from);
  if (progress === undefined) return;
  progress.lastHeardMs = server.nowMs;
  progress.confirmedRound = Math.max(progress.confirmedRound, message.round);
  progress.repeatUnanswered(server.nowMs - server.settings.electionTimeoutMs);
  confirmReads(server, role);
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
    server.send(peer, { type: 'heartbeat', term: server.term, commitIndex: index, round: 0 });
  }
}

export function startHeartbeatRound(server: ServerState, role: LeaderRole): void {
  role.round++;
  role.heartbeatDueMs = server.nowMs + server.settings.heartbeatIntervalMs;
  for (const [peer, progress] of role.progress) {
    const index = logIndex(Math.min(progress.matchIndex, server.commitIndex));
    progress.commitIndexSent = index;
    server.send(peer, { type: 'heartbeat', term: server.term, commitIndex: index, round: role.round });
  }
  confirmReads(server, role);
}

/** A leader that no quorum has answered for an election time-out steps down: it could commit nothing (section 6.2). */
export function checkQuorum(server: ServerState, role: LeaderRole): void {
  const since = server.nowMs - server.settings.electionTimeoutMs;
  const active = isQuorum(server.configuration, (actor) => actor === server.self || (role.progress.get(actor)?.lastHeardMs ?? 0) > since);
  if (!active) server.becomeFollower(server.term, undefined);
}

/**
 * Takes a read of `from`, to be confirmed by the next heartbeat round that
 * begins from now on. Where too many wait it is dropped: whoever asked asks again.
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
    else server.send(read.from, { type: 'read-index-response', term: server.term, requestId: read.requestId, index: read.index });
  }
  if (round === role.round && role.reads.needsRoundAfter(round)) startHeartbeatRound(server, role);
}

/** The latest round that a quorum has answered. */
function confirmedRound(server: ServerState, role: LeaderRole): number {
  return committedIndex(server.configuration, (actor) =>
    logIndex(actor === server.self ? role.round : (role.progress.get(actor)?.confirmedRound ?? 0)),
  );
}

/** Hands leadership to `to`, or to the voter that holds most. False where there is nobody. Proposals are refused meanwhile (section 3.10). */
export function startTransfer(server: ServerState, role: LeaderRole, to: ActorId | undefined): boolean {
  const target = to ?? bestSuccessor(server, role);
  if (target === undefined || !role.progress.has(target) || !server.configuration.voters.includes(target)) return false;
  role.transfer = { to: target, untilMs: server.nowMs + server.settings.electionTimeoutMs, sent: false };
  handOverWhenCaughtUp(server, role);
  return true;
}

function handOverWhenCaughtUp(server: ServerState, role: LeaderRole): void {
  const { transfer } = role;
  if (transfer === undefined || transfer.sent) return;
  if (role.progress.get(transfer.to)?.matchIndex !== server.log.lastIndex) return;
  transfer.sent = true;
  server.send(transfer.to, { type: 'timeout-now', term: server.term });
}

function bestSuccessor(server: ServerState, role: LeaderRole): ActorId | undefined {
  const { voters } = server.configuration;
  const candidates = [...role.progress].filter(([actor, progress]) => voters.includes(actor) && progress.linkOpen);
  candidates.sort(([, a], [, b]) => b.matchIndex - a.matchIndex || b.lastHeardMs - a.lastHeardMs);
  return candidates[0]?.[0];
}

export function matchIndexOf(server: ServerState, role: LeaderRole, actor: ActorId): LogIndex {
  if (actor === server.self) return server.durability.durableIndex;
  return role.progress.get(actor)?.matchIndex ?? logIndex(0);
}
