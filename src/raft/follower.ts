import { type ActorId, assert, type LogIndex, logIndex, term } from '../base/index.js';
import { reportedPressure, takenEntries } from './disk-pressure.js';
import type { Append, Heartbeat } from './messages.js';
import { agreesToQuiesce, isQuiesced } from './quiescence.js';

import type { ServerState } from './server-state.js';
import type { EntryInfo } from './types.js';

/** AppendEntries at the receiver (dissertation, figure 3.1). The message's term is this server's. */
export function handleAppend(server: ServerState, from: ActorId, message: Append): void {
  followLeader(server, from);
  const { log } = server;
  if (message.previousIndex < log.beginIndex) {
    // What lies below the log's begin was committed, and is the same in every leader's log.
    acknowledge(server, from, true);
    return;
  }
  if (!log.matches(message.previousIndex, message.previousTerm)) {
    refuse(server, from, message);
    return;
  }
  const entries = takenEntries(server, from, message);
  appendMissing(server, entries);
  const lastMatched = logIndex(message.previousIndex + entries.length);
  if (lastMatched > server.matchedIndex) server.matchedIndex = lastMatched;
  advanceCommit(server, logIndex(Math.min(message.commitIndex, lastMatched)));
  acknowledge(server, from, true);
}

function refuse(server: ServerState, leader: ActorId, message: Append): void {
  assert(
    message.previousIndex > server.commitIndex,
    `the leader's log differs at ${message.previousIndex}, which is committed here`,
  );
  const hintIndex = server.log.lastIndexAtMost(message.previousIndex, message.previousTerm);
  server.send(leader, {
    type: 'append-result',
    term: server.term,
    accepted: false,
    index: message.previousIndex,
    hintIndex,
    hintTerm: server.log.termOrZero(hintIndex),
  });
}

/**
 * Keeps what matches: a late, duplicated message must not cut off what came
 * after it. Only a conflicting entry is removed, with all that follow.
 */
function appendMissing(server: ServerState, entries: readonly EntryInfo[]): void {
  const { log } = server;
  const firstMissing = entries.findIndex((entry) => !log.matches(entry.index, entry.term));
  if (firstMissing === -1) return;
  for (const entry of entries.slice(firstMissing)) {
    if (entry.index <= log.lastIndex) truncateAfter(server, logIndex(entry.index - 1));
    server.output.acceptedFrom ??= entry.index;
    log.append(entry.index, entry.term);
    if (entry.configuration !== undefined)
      server.configurations.append({ index: entry.index, configuration: entry.configuration });
  }
}

function truncateAfter(server: ServerState, index: LogIndex): void {
  assert(index >= server.commitIndex, `entry ${index + 1} is committed and can't be replaced`);
  server.log.truncateAfter(index);
  server.configurations.truncateAfter(index);
  server.durability.truncatedAfter(index);
}

export function handleHeartbeat(server: ServerState, from: ActorId, message: Heartbeat): void {
  // The message may have been late: a leader that has quiesced must hear that this server is awake again.
  const wasQuiesced = isQuiesced(server);
  followLeader(server, from);
  // The leader names only what this server once acknowledged. If it is not here any more, acknowledged data is lost,
  // and no vote of this server may be trusted.
  assert(
    message.commitIndex <= server.log.lastIndex,
    `entry ${message.commitIndex} was acknowledged here, but the log ends at ${server.log.lastIndex}`,
  );
  advanceCommit(server, message.commitIndex);
  const quiesced = agreesToQuiesce(server, from, message);
  if (message.round > 0 || wasQuiesced)
    server.send(from, {
      type: 'heartbeat-result',
      term: server.term,
      round: message.round,
      quiesced,
      ...reportedPressure(server),
    });
}

/** Tells the leader what has become durable here since it was last told. */
export function acknowledgeDurable(server: ServerState): void {
  if (server.role.name === 'follower' && server.role.leader !== undefined)
    acknowledge(server, server.role.leader, false);
}

/**
 * Promises what is on disk and matches the leader's log, and no more. `asked`:
 * the leader sent something and waits, unless a write under way will answer it.
 */
export function acknowledge(server: ServerState, leader: ActorId, asked: boolean): void {
  const index = logIndex(Math.min(server.durability.durableIndex, server.matchedIndex));
  const nothingUnderWay = index === server.matchedIndex;
  if (index <= server.acknowledgedIndex && !(asked && nothingUnderWay)) return;
  server.acknowledgedIndex = index;
  server.send(leader, {
    type: 'append-result',
    term: server.term,
    accepted: true,
    index,
    hintIndex: logIndex(0),
    hintTerm: term(0),
  });
}

export function followLeader(server: ServerState, leader: ActorId): void {
  assert(server.role.name !== 'leader', `two leaders in term ${server.term}: ${server.self} and ${leader}`);
  server.becomeFollower(server.term, leader);
  server.leaderHeardMs = server.nowMs;
}

function advanceCommit(server: ServerState, index: LogIndex): void {
  if (index > server.commitIndex) server.commitIndex = index;
}
