import type { ActorId, LogIndex } from '../base/index.js';
import type { Append, HeartbeatResult } from './messages.js';
import type { Progress } from './progress.js';
import { rouseLeader } from './quiescence.js';
import { isQuorum } from './quorum.js';
import type { LeaderRole, ServerState } from './server-state.js';
import { startTransfer } from './transfer.js';
import type { EntryInfo } from './types.js';

/*
 * What becomes of a group when a server's disk runs full. Nothing here bears on
 * safety: it only decides who takes which entries, and who had better lead.
 *
 * `low`: the server takes no new events as a leader, and hands over to a voter
 * that has room; without a leader it lets others stand first. As a follower it
 * goes on: what was proposed before is still to be held by a majority.
 * `full`: as a follower it accepts no events either. Whatever else is in the
 * log, such as the no-op of a new leader, it accepts as before, so that elections,
 * reads and changes of the members go on. It says how it stands in each answer
 * to a heartbeat; a leader sends it no entry that it has refused until it has
 * room again, and takes no events where a majority would refuse them.
 */

/** How much a server's disk takes. */
export type Room = 'ample' | 'low' | 'full';

export function ownRoom({ settings }: ServerState): Room {
  return settings.room?.() ?? 'ample';
}

/** How this server stands, as its answers to heartbeats say it. */
export function roomToTell(server: ServerState): Pick<HeartbeatResult, 'room'> {
  const room = ownRoom(server);
  return room === 'ample' ? {} : { room };
}

// The follower

/**
 * The entries of an append that this server takes: where it is full, none from the first on that holds events and is
 * not here yet.
 */
export function takenEntries(server: ServerState, leader: ActorId, message: Append): readonly EntryInfo[] {
  if (ownRoom(server) !== 'full') return message.entries;
  const refused = message.entries.findIndex(
    ({ holdsEvents, index, term }) => holdsEvents === true && !server.log.matches(index, term),
  );
  if (refused === -1) return message.entries;
  // Before the acknowledgement of what is taken, which would ask for more.
  server.send(leader, { type: 'heartbeat-result', term: server.term, round: 0, quiet: false, room: 'full' });
  return message.entries.slice(0, refused);
}

// The leader

/** A follower says how it stands. */
export function noteRoom(progress: Progress, { room, round }: HeartbeatResult): void {
  // An answer to no round that says nothing of it is only a wish to hear the leader.
  if (round === 0 && room === undefined) return;
  progress.room = room ?? 'ample';
  if (progress.room === 'full' && round === 0) progress.entryRefused();
  else if (progress.room !== 'full') progress.entriesWelcome();
}

/**
 * With each heartbeat: who has little room hands over to a voter that has, if there is one. False where there is none.
 */
export function yieldForRoom(server: ServerState, role: LeaderRole): boolean {
  if (role.transfer !== undefined) return true;
  if (ownRoom(server) === 'ample') return false;
  const successor = successorWithRoom(server, role);
  if (successor === undefined) return false;
  rouseLeader(server, role);
  return startTransfer(server, role, successor);
}

/**
 * Only one that has told how it stands since this server leads, or two that are short of room would hand over to each
 * other for ever.
 */
function successorWithRoom(
  { configuration, log, settings, nowMs }: ServerState,
  role: LeaderRole,
): ActorId | undefined {
  const fit = [...role.progress].filter(
    ([actor, { linkOpen, room, confirmedRound, state, lastHeardMs }]) =>
      configuration.voters.includes(actor) &&
      linkOpen &&
      room === 'ample' &&
      confirmedRound > 0 &&
      state === 'replicate' &&
      lastHeardMs > nowMs - settings.electionTimeoutMs,
  );
  const behind = (matchIndex: LogIndex): number => log.lastIndex - matchIndex;
  return fit.sort(([, a], [, b]) => behind(a.matchIndex) - behind(b.matchIndex))[0]?.[0];
}

/** Why a leader takes no events now. `yielding`: it is handing over to a server that does. */
export type EventRefusal = 'yielding' | 'own disk' | 'majority';

/** Says whether events may be proposed. */
export class Admission {
  private readonly server: ServerState;

  constructor(server: ServerState) {
    this.server = server;
  }

  /** Undefined where events may be proposed, as far as room goes. */
  refusal(): EventRefusal | undefined {
    const { server } = this;
    const { role } = server;
    if (role.name !== 'leader') return undefined;
    const takes = (actor: ActorId): boolean => actor === server.self || role.progress.get(actor)?.room !== 'full';
    const isLow = ownRoom(server) !== 'ample';
    if (!isLow && isQuorum(server.configuration, takes)) return undefined;
    // How the others stand is told with heartbeats, and only while it does not rest.
    rouseLeader(server, role);
    if (!isLow) return 'majority';
    return yieldForRoom(server, role) ? 'yielding' : 'own disk';
  }
}
