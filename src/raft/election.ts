import { type ActorId, assert, term } from '../base/index.js';
import { isVoter, membersOf } from './configuration.js';
import { becomeLeader } from './leader.js';
import type { VoteRequest, VoteResponse } from './messages.js';
import { voteOutcome } from './quorum.js';
import type { ServerState } from './server-state.js';

/**
 * Asks whether a campaign could be won before it raises its term, so that a
 * server that was cut off does not depose a healthy leader on its return
 * (pre-vote, dissertation section 9.6).
 */
export function startPreVote(server: ServerState): void {
  server.output.campaigns++;
  const votes = new Map([[server.self, true]]);
  server.role = { name: 'pre-candidate', votes };
  retryLater(server);
  if (voteOutcome(server.configuration, votes) === 'won') startElection(server, false);
  else requestVotes(server, true, false);
}

/** Campaigns (section 3.4). The own vote counts once it is on disk: see {@link countOwnVote}. */
export function startElection(server: ServerState, leadershipTransfer: boolean): void {
  if (leadershipTransfer) server.output.campaigns++;
  server.setHardState({ term: term(server.term + 1), vote: server.self });
  server.role = { name: 'candidate', votes: new Map() };
  retryLater(server);
  requestVotes(server, false, leadershipTransfer);
}

export function countOwnVote(server: ServerState): void {
  if (server.role.name !== 'candidate' || server.role.votes.has(server.self)) return;
  assert(server.vote === server.self, 'a candidate votes for itself');
  server.role.votes.set(server.self, true);
  decideElection(server);
}

/**
 * Every election that this server may lose is tried again soon, at a random time, or two candidates could split the
 * votes for ever.
 */
function retryLater(server: ServerState): void {
  const { electionTimeoutMs } = server.settings;
  server.resetElectionDeadline(electionTimeoutMs / 4, electionTimeoutMs / 2);
}

function requestVotes(server: ServerState, preVote: boolean, leadershipTransfer: boolean): void {
  const request: VoteRequest = {
    type: 'vote-request',
    term: preVote ? term(server.term + 1) : server.term,
    lastIndex: server.log.lastIndex,
    lastTerm: server.log.lastTerm,
    preVote,
    leadershipTransfer,
  };
  for (const peer of membersOf(server.configuration)) {
    if (peer !== server.self && isVoter(server.configuration, peer)) server.send(peer, request);
  }
}

/** Call only after the message's term has been taken over where it must be (`RaftCore.step`). */
export function handleVoteRequest(server: ServerState, from: ActorId, request: VoteRequest): void {
  const upToDate = server.log.isUpToDate(request.lastIndex, request.lastTerm);
  if (request.preVote) {
    const granted = upToDate && request.term > server.term && !server.hearsLeader();
    server.send(from, { type: 'vote-response', term: granted ? request.term : server.term, granted, preVote: true });
    return;
  }
  const free = server.vote === undefined || server.vote === from;
  const granted = request.term === server.term && free && upToDate && server.role.name === 'follower';
  if (granted) {
    server.setHardState({ term: server.term, vote: from });
    server.resetElectionDeadline(server.settings.electionTimeoutMs, server.settings.electionTimeoutMs);
  }
  server.send(from, { type: 'vote-response', term: server.term, granted, preVote: false });
}

export function handleVoteResponse(server: ServerState, from: ActorId, response: VoteResponse): void {
  const { role } = server;
  if (role.name === 'pre-candidate' && response.preVote) {
    if (response.granted && response.term !== server.term + 1) return;
    role.votes.set(from, response.granted);
    const outcome = voteOutcome(server.configuration, role.votes);
    if (outcome === 'won') startElection(server, false);
    else if (outcome === 'lost') backDown(server);
  } else if (role.name === 'candidate' && !response.preVote && response.term === server.term) {
    role.votes.set(from, response.granted);
    decideElection(server);
  }
}

function decideElection(server: ServerState): void {
  assert(server.role.name === 'candidate', 'only a candidate is elected');
  const outcome = voteOutcome(server.configuration, server.role.votes);
  if (outcome === 'won') becomeLeader(server);
  else if (outcome === 'lost') backDown(server);
}

/** Waits for another's success; the deadline of the next attempt stays as it was drawn. */
function backDown(server: ServerState): void {
  server.role = { name: 'follower', leader: undefined, quiescence: 'awake' };
}
