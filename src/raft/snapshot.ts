import { type ActorId, assert, type LogIndex, logIndex, type Term } from '../base/index.js';
import type { IndexedConfiguration } from './configuration.js';
import { acknowledge, followLeader } from './follower.js';
import type { SnapshotChunk, SnapshotResult } from './messages.js';
import type { LeaderRole, ServerState } from './server-state.js';
import type { TermStart } from './types.js';

/** A follower lacks what the leader's log does not hold any more: it gets what stands before its begin. */
export interface SnapshotPlan {
  readonly to: ActorId;
  readonly term: Term;
  /** The entry that the log begins after. */
  readonly index: LogIndex;
  readonly indexTerm: Term;
}

/** The snapshot that this follower needs, if it needs one and none is under way. From here on it is. */
export function takeSnapshotPlan(server: ServerState, role: LeaderRole, to: ActorId): SnapshotPlan | undefined {
  const { beginIndex } = server.log;
  const progress = role.progress.get(to);
  if (progress === undefined || !progress.needsSnapshot(beginIndex)) return undefined;
  progress.snapshotBegun(beginIndex, server.nowMs);
  return { to, term: server.term, index: beginIndex, indexTerm: server.log.termOrZero(beginIndex) };
}

/** The follower has taken in a piece. Its driver may send the next one where that snapshot is still under way. */
export function handleSnapshotResult(
  server: ServerState,
  role: LeaderRole,
  from: ActorId,
  message: SnapshotResult,
): void {
  const progress = role.progress.get(from);
  if (progress === undefined) return;
  progress.lastHeardMs = server.nowMs;
  if (!progress.isTakingSnapshot(message.index)) return;
  progress.snapshotHeard(server.nowMs);
  server.output.snapshotResults.push({ from, index: message.index, receivedBytes: message.receivedBytes });
}

/** InstallSnapshot at the receiver (section 5.2). The message's term is this server's. */
export function handleSnapshotChunk(server: ServerState, from: ActorId, message: SnapshotChunk): void {
  followLeader(server, from);
  if (server.log.matches(message.index, message.indexTerm) || message.index <= server.commitIndex) {
    // Everything that the snapshot stands for is here: what follows it stays.
    learnMatched(server, message.index);
    acknowledge(server, from, true);
  } else {
    server.output.snapshotChunk = { from, message };
  }
}

function learnMatched(server: ServerState, index: LogIndex): void {
  server.matchedIndex = logIndex(Math.max(server.matchedIndex, index));
  server.commitIndex = logIndex(Math.max(server.commitIndex, index));
}

/**
 * The whole snapshot has come: the log, none of which reaches it in the leader's
 * history, gives way to it. Call in the turn in which its last piece was taken in.
 */
export function installSnapshot(server: ServerState, begin: TermStart, inForce: IndexedConfiguration): void {
  assert(server.role.name === 'follower', 'only a follower takes a snapshot');
  assert(
    begin.index > server.commitIndex,
    `what is committed here (${server.commitIndex}) is never replaced by a snapshot of ${begin.index}`,
  );
  assert(inForce.index <= begin.index, 'the configuration of a snapshot was set in what it stands for');
  server.durability.replacedBy(begin.index, server.commitIndex);
  server.log.replaceWith(begin);
  server.configurations.replaceWith(inForce);
  server.commitIndex = begin.index;
  server.matchedIndex = begin.index;
}

/** The log begins after `index` from now on: it is committed, and the storage can tell what stands before it. */
export function cutThrough(server: ServerState, index: LogIndex): void {
  assert(
    index <= server.commitIndex && index <= server.durability.durableIndex,
    `entry ${index} is not settled and can't be cut off`,
  );
  server.log.cutThrough(index);
  server.configurations.cutThrough(index);
}
