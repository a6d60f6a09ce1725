import type { ActorId } from '../base/index.js';
import { isJoint, isVoter, membersOf } from './configuration.js';
import type { Heartbeat, Message } from './messages.js';
import type { FollowerRole, LeaderRole, ServerState } from './server-state.js';

/*
 * A group in which nothing happens quiesces: no heartbeats, no election timer.
 * CockroachDB's quiescence and TiKV's hibernation are the models; here the
 * followers are asked, and the leader quiesces only when all of them have.
 *
 * The leader asks with a heartbeat round, when every member holds all that there
 * is, and was told that it is committed. A follower that agrees stops its election
 * timer and says so. A lost question or answer leaves the leader awake, and its next
 * heartbeat wakes the followers that have quiesced already; a late answer names
 * another round; a late question finds another log, or is followed by a heartbeat.
 *
 * A server that has quiesced relies on the driver, which watches nodes instead of
 * groups and reports those that fall silent (`RaftCore.peerPresence`) and links that
 * change. Every input wakes it: a member that campaigns wakes the leader if it
 * reaches it, and if not, a follower that refuses its pre-vote asks the leader
 * to speak up. A server that leads no more stays mute, and the follower gives up on
 * it an election time-out after the question. Nothing here bears on
 * safety: votes, commits and reads are decided as in a group that is awake.
 *
 * docs/internals/groups.md goes through the cases.
 */

const AWAKE = { name: 'awake' } as const;
const QUIESCED = { name: 'quiesced' } as const;

// The leader

/** Called before a regular heartbeat round, which will ask the followers to quiesce where nothing is left to do. */
export function considerQuiescing(server: ServerState, role: LeaderRole): void {
  role.quiescence = hasNothingToDo(server, role) ? { name: 'asking', round: role.round + 1, agreed: new Set() } : AWAKE;
}

/** Whether the round that has just begun asks the followers to quiesce; any other round wakes them. */
export function asksToQuiesce(role: LeaderRole): boolean {
  return role.quiescence.name === 'asking' && role.quiescence.round === role.round;
}

/** A follower has quiesced, as this round asked it to. */
export function followerQuiesced(server: ServerState, role: LeaderRole, follower: ActorId, round: number): void {
  if (role.quiescence.name !== 'asking' || role.quiescence.round !== round) return;
  role.quiescence.agreed.add(follower);
  quiesceOnceAgreed(server, role);
}

/** Quiesces once all followers have; whatever comes up after they were asked ends the asking. */
export function quiesceOnceAgreed(server: ServerState, role: LeaderRole): void {
  const { quiescence } = role;
  if (quiescence.name !== 'asking') return;
  const allAgreed = [...role.progress.keys()].every((follower) => quiescence.agreed.has(follower));
  if (allAgreed && hasNothingToDo(server, role)) role.quiescence = QUIESCED;
}

/**
 * The leader counts on being heard and answered again. No follower is blamed for its silence while it was not to speak.
 */
export function wakeLeader(server: ServerState, role: LeaderRole): void {
  if (role.quiescence.name === 'quiesced') {
    for (const progress of role.progress.values()) progress.lastHeardMs = server.nowMs;
    role.heartbeatDueMs = nextHeartbeatMs(server);
  }
  role.quiescence = AWAKE;
}

/** Every message does but one that says that its sender has quiesced, and the answer to an election that is over. */
export function wakesLeader(message: Message): boolean {
  return message.type !== 'vote-response' && !(message.type === 'heartbeat-result' && message.quiesced);
}

/** Heartbeats of all groups are due at the same moments, so that those to one node travel together. */
export function nextHeartbeatMs({ nowMs, settings: { heartbeatIntervalMs } }: ServerState): number {
  return (Math.floor(nowMs / heartbeatIntervalMs) + 1) * heartbeatIntervalMs;
}

function hasNothingToDo(server: ServerState, role: LeaderRole): boolean {
  const { settings, log, commitIndex, configuration, durability } = server;
  if (settings.quiescence !== true || role.transfer !== undefined || role.reads.length > 0) return false;
  // Heartbeats tell this server when a follower's disk would let it lead.
  if (server.diskPressure !== 'ok') return false;
  if (commitIndex < role.noopIndex || commitIndex !== log.lastIndex || durability.durableIndex !== log.lastIndex)
    return false;
  // A learner waits to be made a voter, and a leader that does not vote is about to leave.
  if (isJoint(configuration) || configuration.learners.length > 0 || !isVoter(configuration, server.self)) return false;
  if (role.progress.size !== membersOf(configuration).length - 1) return false;
  for (const [follower, progress] of role.progress) {
    if (!progress.linkOpen || server.silentPeers.has(follower) || progress.state !== 'replicate') return false;
    if (progress.diskPressure !== 'ok') return false;
    if (progress.matchIndex !== log.lastIndex || progress.commitIndexSent !== commitIndex) return false;
  }
  return true;
}

// The followers

/** Quiesces where nothing speaks against it, now that the leader asks for it; whether it has. */
export function agreesToQuiesce(server: ServerState, leader: ActorId, message: Heartbeat): boolean {
  const { role, log, durability } = server;
  if (!message.quiesce || server.settings.quiescence !== true || role.name !== 'follower') return false;
  const holdsAll = message.commitIndex === log.lastIndex && server.commitIndex === log.lastIndex;
  const isDurable = durability.durableIndex === log.lastIndex && durability.hardStateIsDurable;
  // The driver reports the loss of a leader once, and this one's was reported before.
  const isWatched = server.openLinks.has(leader) && !server.silentPeers.has(leader);
  if (!holdsAll || !isDurable || !isWatched) return false;
  role.quiescence = 'quiesced';
  return true;
}

/** A follower that had quiesced gives its leader an election time-out to be heard. */
export function wakeFollower(server: ServerState, role: FollowerRole): void {
  if (role.quiescence !== 'quiesced') return;
  role.quiescence = 'waking';
  server.leaderHeardMs = server.nowMs;
  server.resetElectionDeadline(server.settings.electionTimeoutMs, server.settings.electionTimeoutMs);
}

/**
 * A member campaigns. Where that is the leader itself it leads no more; else it may only be that the candidate and the
 * leader don't hear each other.
 */
export function wakeByCampaign(server: ServerState, role: FollowerRole, candidate: ActorId): void {
  if (candidate === role.leader) {
    server.forgetLeader();
    return;
  }
  wakeFollower(server, role);
  askLeaderToSpeak(server, role);
}

/** An answer to no round: a leader that has quiesced takes it for a wish to hear it. */
export function askLeaderToSpeak(server: ServerState, role: FollowerRole): void {
  if (role.quiescence !== 'waking' || role.leader === undefined) return;
  server.send(role.leader, { type: 'heartbeat-result', term: server.term, round: 0, quiesced: false });
}

// Both

export function isQuiesced({ role }: ServerState): boolean {
  return role.name === 'leader'
    ? role.quiescence.name === 'quiesced'
    : role.name === 'follower' && role.quiescence === 'quiesced';
}

/**
 * The peers that a server that has quiesced relies on, or that rely on it. A follower that is waking may follow a
 * leader that is still quiesced.
 */
export function watchedPeers({ role }: ServerState): ActorId[] {
  if (role.name === 'leader') return role.quiescence.name === 'quiesced' ? [...role.progress.keys()] : [];
  return role.name === 'follower' && role.leader !== undefined && role.quiescence !== 'awake' ? [role.leader] : [];
}

/** The driver has heard nothing of a peer's node for an election time-out. */
export function peerFellSilent(server: ServerState, peer: ActorId): void {
  const { role, settings, nowMs } = server;
  server.silentPeers.add(peer);
  if (role.name === 'leader') {
    const progress = role.progress.get(peer);
    if (progress === undefined) return;
    wakeLeader(server, role);
    progress.lastHeardMs = Math.min(progress.lastHeardMs, nowMs - settings.electionTimeoutMs);
  } else if (role.name === 'follower' && role.leader === peer && role.quiescence === 'quiesced') {
    role.quiescence = 'waking';
    // The driver has waited for it already; many groups rely on the node, and must not all campaign at once.
    server.leaderHeardMs = nowMs - settings.electionTimeoutMs;
    server.resetElectionDeadline(0, settings.electionTimeoutMs);
    askLeaderToSpeak(server, role);
  }
}
