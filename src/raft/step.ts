import { type ActorId, unreachable } from '../base/index.js';
import { handleVoteRequest, handleVoteResponse, startElection } from './election.js';
import { handleAppend, handleHeartbeat } from './follower.js';
import { addRead, handleAppendResult, handleHeartbeatResult } from './leader.js';
import { isPreVote, leaderOf, type Message } from './messages.js';
import { wakeByMessage } from './peers.js';
import type { ServerState } from './server-state.js';
import { handleSnapshotChunk, handleSnapshotResult } from './snapshot.js';

/** Takes in a message of another member: its term first, then what it says. */
export function step(server: ServerState, from: ActorId, message: Message): void {
  wakeByMessage(server, from, message);
  if (message.type === 'vote-request' && !message.preVote && !message.leadershipTransfer && server.hearsLeader()) {
    // A server that was removed or cut off must not depose a leader that the other servers hear (section 4.2.3).
    return;
  }
  if (message.term > server.term && !isPreVote(message)) server.becomeFollower(message.term, leaderOf(from, message));
  if (message.term < server.term) answerStale(server, from, message);
  else dispatch(server, from, message);
}

/**
 * A server of an older term learns of the newer one; without this, one that
 * pre-votes in vain would never come back. An append is not refused: by the
 * time of the answer its sender may lead this term, and would take the refusal
 * for one of what it sends now.
 */
function answerStale(server: ServerState, from: ActorId, message: Message): void {
  if (message.type === 'append' || message.type === 'heartbeat' || message.type === 'snapshot') {
    server.send(from, { type: 'heartbeat-result', term: server.term, round: 0, quiesced: false });
  } else if (message.type === 'vote-request') {
    server.send(from, { type: 'vote-response', term: server.term, granted: false, preVote: message.preVote });
  }
}

function dispatch(server: ServerState, from: ActorId, message: Message): void {
  const { role } = server;
  switch (message.type) {
    case 'vote-request':
      handleVoteRequest(server, from, message);
      break;
    case 'vote-response':
      handleVoteResponse(server, from, message);
      break;
    case 'append':
      handleAppend(server, from, message);
      break;
    case 'heartbeat':
      handleHeartbeat(server, from, message);
      break;
    case 'append-result':
      if (role.name === 'leader') handleAppendResult(server, role, from, message);
      break;
    case 'heartbeat-result':
      if (role.name === 'leader') handleHeartbeatResult(server, role, from, message);
      break;
    case 'timeout-now':
      if (server.mayCampaign && role.name === 'follower') startElection(server, true);
      break;
    case 'read-index-request':
      if (role.name === 'leader') addRead(server, role, from, message.requestId);
      break;
    case 'read-index-response':
      server.output.reads.push({ requestId: message.requestId, index: message.index });
      break;
    case 'snapshot':
      handleSnapshotChunk(server, from, message);
      break;
    case 'snapshot-result':
      if (role.name === 'leader') handleSnapshotResult(server, role, from, message);
      break;
    default:
      unreachable(message);
  }
}
