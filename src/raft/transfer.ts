import type { ActorId } from '../base/index.js';
import { isVoter } from './configuration.js';
import type { Progress } from './progress.js';
import type { LeaderRole, ServerState } from './server-state.js';

/**
 * Hands leadership to `to`, or to the voter that holds most. False where there is none. Proposals are refused
 * meanwhile (section 3.10).
 */
export function startTransfer(server: ServerState, role: LeaderRole, to: ActorId | undefined): boolean {
  const target = to ?? bestSuccessor(server, role);
  if (target === undefined || !role.progress.has(target) || !server.configuration.voters.includes(target)) return false;
  role.transfer = { to: target, untilMs: server.nowMs + server.settings.electionTimeoutMs, sent: false };
  handOverWhenCaughtUp(server, role);
  return true;
}

/** Lets the successor campaign as soon as it holds everything. */
export function handOverWhenCaughtUp(server: ServerState, role: LeaderRole): void {
  const { transfer } = role;
  if (transfer === undefined || transfer.sent) return;
  if (role.progress.get(transfer.to)?.matchIndex !== server.log.lastIndex) return;
  const stays = isVoter(server.configuration, server.self);
  // No later leader tells one that has left what became of its entries: it goes when it knows that of all.
  if (!stays && server.commitIndex < server.log.lastIndex) return;
  transfer.sent = true;
  server.send(transfer.to, { type: 'timeout-now', term: server.term });
  if (!stays) server.becomeFollower(server.term, undefined);
}

function bestSuccessor(server: ServerState, role: LeaderRole): ActorId | undefined {
  const { voters } = server.configuration;
  const candidates = [...role.progress].filter(([actor, progress]) => voters.includes(actor) && progress.linkOpen);
  const pressure = ({ diskPressure }: Progress): number => (diskPressure === 'ok' ? 0 : 1);
  candidates.sort(
    ([, a], [, b]) => pressure(a) - pressure(b) || b.matchIndex - a.matchIndex || b.lastHeardMs - a.lastHeardMs,
  );
  return candidates[0]?.[0];
}
