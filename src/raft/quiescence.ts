import type { ActorId } from '../base/index.js';
import { isJoint, isVoter, membersOf } from './configuration.js';
import type { Heartbeat, Message } from './messages.js';
import type { FollowerRole, LeaderRole, ServerState } from './server-state.js';

/*
 * A group in which nothing happens falls quiet: no heartbeats, no election
 * timer. CockroachDB's quiescence and TiKV's hibernation are the models; here
 * the followers are asked, and the leader rests only when all of them do.
 *
 * The leader asks with a heartbeat round, when everybody holds, and was told of,
 * all that there is. A follower that agrees stops its election timer and
 * says so. A lost question or answer leaves the leader awake, whose next
 * heartbeat wakes those that rest already; a late answer is one to another
 * round; a late question finds another log, or is followed by a heartbeat.
 *
 * Who rests leans on the driver, which watches nodes instead of groups and
 * reports those that fall silent (`RaftCore.peerPresence`) and links that
 * change. Every input wakes: a member that campaigns wakes the leader if it
 * reaches it, and if not, a follower that refuses its pre-vote asks the leader
 * to speak up. If that leads no more, it stays mute, and an election time-out
 * after the question the follower counts on it no longer. Nothing here bears on
 * safety: votes, commits and reads are decided as in a group that is awake.
 *
 * docs/internals/groups.md goes through the cases.
 */

const AWAKE = { name: 'awake' } as const;
const QUIET = { name: 'quiet' } as const;

// The leader

/** Before a regular heartbeat round: it will ask the followers to rest, where nothing is left to do. */
export function considerResting(server: ServerState, role: LeaderRole): void {
  role.rest = hasNothingToDo(server, role) ? { name: 'asking', round: role.round + 1, agreed: new Set() } : AWAKE;
}

/** The round that has just begun asks for rest; any other one ends it. */
export function asksForRest(role: LeaderRole): boolean {
  return role.rest.name === 'asking' && role.rest.round === role.round;
}

/** A follower rests since this round. */
export function followerRests(server: ServerState, role: LeaderRole, follower: ActorId, round: number): void {
  if (role.rest.name !== 'asking' || role.rest.round !== round) return;
  role.rest.agreed.add(follower);
  fallQuiet(server, role);
}

/** Rests once all followers do; whatever comes up after they were asked ends the asking. */
export function fallQuiet(server: ServerState, role: LeaderRole): void {
  const { rest } = role;
  if (rest.name !== 'asking') return;
  const allRest = [...role.progress.keys()].every((follower) => rest.agreed.has(follower));
  if (allRest && hasNothingToDo(server, role)) role.rest = QUIET;
}

/**
 * The leader counts on being heard and answered again. Silence while nobody was to speak is held against no follower.
 */
export function rouseLeader(server: ServerState, role: LeaderRole): void {
  if (role.rest.name === 'quiet') {
    for (const progress of role.progress.values()) progress.lastHeardMs = server.nowMs;
    role.heartbeatDueMs = nextHeartbeatMs(server);
  }
  role.rest = AWAKE;
}

/** All but what says that its sender rests, and answers to an election that is over. */
export function wakesLeader(message: Message): boolean {
  return message.type !== 'vote-response' && !(message.type === 'heartbeat-result' && message.quiet);
}

/** Heartbeats of all groups are due at the same moments, so that those to one node travel together. */
export function nextHeartbeatMs({ nowMs, settings: { heartbeatIntervalMs } }: ServerState): number {
  return (Math.floor(nowMs / heartbeatIntervalMs) + 1) * heartbeatIntervalMs;
}

function hasNothingToDo(server: ServerState, role: LeaderRole): boolean {
  const { settings, log, commitIndex, configuration, durability } = server;
  if (settings.quiescence !== true || role.transfer !== undefined || role.reads.length > 0) return false;
  // Who has little room says with its answers when it has more.
  if ((settings.room?.() ?? 'ample') !== 'ample') return false;
  if (commitIndex < role.noopIndex || commitIndex !== log.lastIndex || durability.durableIndex !== log.lastIndex)
    return false;
  // A learner waits to be made a voter, and who does not vote is about to leave.
  if (isJoint(configuration) || configuration.learners.length > 0 || !isVoter(configuration, server.self)) return false;
  if (role.progress.size !== membersOf(configuration).length - 1) return false;
  for (const [follower, progress] of role.progress) {
    if (!progress.linkOpen || server.silentPeers.has(follower) || progress.state !== 'replicate') return false;
    if (progress.room !== 'ample') return false;
    if (progress.matchIndex !== log.lastIndex || progress.commitIndexSent !== commitIndex) return false;
  }
  return true;
}

// The followers

/** Whether this follower rests, now that its leader asks for it. */
export function agreesToRest(server: ServerState, leader: ActorId, message: Heartbeat): boolean {
  const { role, log, durability } = server;
  if (!message.quiesce || server.settings.quiescence !== true || role.name !== 'follower') return false;
  const holdsAll = message.commitIndex === log.lastIndex && server.commitIndex === log.lastIndex;
  const isDurable = durability.durableIndex === log.lastIndex && durability.hardStateIsDurable;
  // Of a leader whose loss was reported before, it would not be told again.
  const isWatched = server.openLinks.has(leader) && !server.silentPeers.has(leader);
  if (!holdsAll || !isDurable || !isWatched) return false;
  role.rest = 'quiet';
  return true;
}

/** A follower that rested gives its leader an election time-out to be heard. */
export function rouseFollower(server: ServerState, role: FollowerRole): void {
  if (role.rest !== 'quiet') return;
  role.rest = 'woken';
  server.leaderHeardMs = server.nowMs;
  server.resetElectionDeadline(server.settings.electionTimeoutMs, server.settings.electionTimeoutMs);
}

/**
 * Somebody campaigns. Where that is the leader itself it leads no more; else it may be only that the two don't hear
 * each other.
 */
export function rouseByCampaign(server: ServerState, role: FollowerRole, candidate: ActorId): void {
  if (candidate === role.leader) {
    server.forgetLeader();
    return;
  }
  rouseFollower(server, role);
  askLeaderToSpeak(server, role);
}

/** An answer to no round: a leader that rests takes it for a wish to hear it. */
export function askLeaderToSpeak(server: ServerState, role: FollowerRole): void {
  if (role.rest !== 'woken' || role.leader === undefined) return;
  server.send(role.leader, { type: 'heartbeat-result', term: server.term, round: 0, quiet: false });
}

// Both

export function isQuiet({ role }: ServerState): boolean {
  return role.name === 'leader' ? role.rest.name === 'quiet' : role.name === 'follower' && role.rest === 'quiet';
}

/**
 * Whom a server that rests leans on, or who leans on it. A follower that was woken may follow a leader that still
 * rests.
 */
export function restsWith({ role }: ServerState): ActorId[] {
  if (role.name === 'leader') return role.rest.name === 'quiet' ? [...role.progress.keys()] : [];
  return role.name === 'follower' && role.leader !== undefined && role.rest !== 'awake' ? [role.leader] : [];
}

/** The driver has heard nothing of a peer's node for an election time-out. */
export function peerFellSilent(server: ServerState, peer: ActorId): void {
  const { role, settings, nowMs } = server;
  server.silentPeers.add(peer);
  if (role.name === 'leader') {
    const progress = role.progress.get(peer);
    if (progress === undefined) return;
    rouseLeader(server, role);
    progress.lastHeardMs = Math.min(progress.lastHeardMs, nowMs - settings.electionTimeoutMs);
  } else if (role.name === 'follower' && role.leader === peer && role.rest === 'quiet') {
    role.rest = 'woken';
    // It was waited for already; many groups lean on the node, and must not all campaign at once.
    server.leaderHeardMs = nowMs - settings.electionTimeoutMs;
    server.resetElectionDeadline(0, settings.electionTimeoutMs);
    askLeaderToSpeak(server, role);
  }
}
