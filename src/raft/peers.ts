import type { ActorId } from '../base/index.js';
import { isVoter } from './configuration.js';
import { startHeartbeatRound } from './leader.js';
import type { Message } from './messages.js';
import {
  askLeaderToSpeak,
  peerFellSilent,
  wakeByCampaign,
  wakeFollower,
  wakeLeader,
  wakesLeader,
} from './quiescence.js';
import type { FollowerRole, ServerState } from './server-state.js';

/**
 * What the driver tells of the link to a peer. `refused`: its process is gone, so waiting for it to speak again is in
 * vain.
 */
export type LinkChange = 'open' | 'closed' | 'refused';

export function linkChanged(server: ServerState, peer: ActorId, state: LinkChange): void {
  const { role } = server;
  if (state === 'open') server.openLinks.add(peer);
  else server.openLinks.delete(peer);
  if (role.name === 'leader') {
    const progress = role.progress.get(peer);
    if (progress === undefined) return;
    wakeLeader(server, role);
    progress.linkOpen = state === 'open';
    progress.restart();
    if (state === 'open') startHeartbeatRound(server, role);
  } else if (role.name === 'follower' && peer === role.leader) {
    linkToLeaderChanged(server, role, state);
  }
}

function linkToLeaderChanged(server: ServerState, role: FollowerRole, state: LinkChange): void {
  if (state === 'refused') {
    server.forgetLeader();
    server.resetElectionDeadline(20, 80);
  } else if (state === 'closed') {
    wakeFollower(server, role);
  } else {
    askLeaderToSpeak(server, role);
  }
}

export function peerPresenceChanged(server: ServerState, peer: ActorId, state: 'present' | 'silent'): void {
  if (state === 'silent') peerFellSilent(server, peer);
  else server.silentPeers.delete(peer);
}

/**
 * A member's message that is about to be taken in wakes its receiver. A leader's own messages do so where they are
 * handled.
 */
export function wakeByMessage(server: ServerState, from: ActorId, message: Message): void {
  const { role } = server;
  // A server that was removed and has not heard of it campaigns for ever.
  if (!isVoter(server.configuration, from)) return;
  if (role.name === 'leader' && role.quiescence.name === 'quiesced' && wakesLeader(message))
    startHeartbeatRound(server, role);
  const campaigns = message.type === 'vote-request' && message.term > server.term;
  if (role.name === 'follower' && role.quiescence !== 'awake' && campaigns) wakeByCampaign(server, role, from);
}
