import type { ActorId, LogIndex } from '../base/index.js';
import type { Append, HeartbeatResult } from './messages.js';
import type { Progress } from './progress.js';
import { wakeLeader } from './quiescence.js';
import { isQuorum } from './quorum.js';
import type { LeaderRole, ServerState } from './server-state.js';
import { startTransfer } from './transfer.js';
import type { DiskPressure, EntryInfo } from './types.js';

/*
 * What becomes of a group when a server's disk runs full. Nothing here bears on
 * safety: it only decides which server takes which entries, and which had better lead.
 *
 * `low`: the server takes no new events as a leader, and hands over to a voter whose disk is `ok`; without a leader it
 * lets other servers stand first. As a follower it goes on: what was proposed before is still to be held by a majority.
 * `full`: as a follower it accepts no events either. Whatever else is in the log, such as the no-op of a new leader, it
 * accepts as before, so that elections, reads and changes of the members go on. It reports its disk in each answer to a
 * heartbeat; a leader sends it no entry that it has refused until its disk has recovered, and takes no events where a
 * majority would refuse them.
 */

/** The driver reports how much this server's disk takes. A leader whose disk runs low looks for a successor at once. */
export function diskPressureChanged(server: ServerState, level: DiskPressure): void {
  if (level === server.diskPressure) return;
  server.diskPressure = level;
  if (level !== 'ok' && server.role.name === 'leader') wakeLeader(server, server.role);
}

/** How this server's disk stands, as its answers to heartbeats report it. */
export function reportedPressure({ diskPressure }: ServerState): Pick<HeartbeatResult, 'diskPressure'> {
  return diskPressure === 'ok' ? {} : { diskPressure };
}

// The follower

/**
 * The entries of an append that this server takes: where its disk is full, none from the first on that holds events
 * and is not here yet.
 */
export function takenEntries(server: ServerState, leader: ActorId, message: Append): readonly EntryInfo[] {
  if (server.diskPressure !== 'full') return message.entries;
  const refused = message.entries.findIndex(
    ({ holdsEvents, index, term }) => holdsEvents === true && !server.log.matches(index, term),
  );
  if (refused === -1) return message.entries;
  // The refusal leaves before the acknowledgement of what is taken, which would ask for more.
  const result = { type: 'heartbeat-result', term: server.term, round: 0, quiesced: false } as const;
  server.send(leader, { ...result, diskPressure: 'full' });
  return message.entries.slice(0, refused);
}

// The leader

/** A follower reports its disk. */
export function notePressure(progress: Progress, { diskPressure, round }: HeartbeatResult): void {
  // An answer to no round that reports no pressure is only a wish to hear the leader.
  if (round === 0 && diskPressure === undefined) return;
  progress.diskPressure = diskPressure ?? 'ok';
  if (progress.diskPressure === 'full' && round === 0) progress.entryRefused();
  else if (progress.diskPressure !== 'full') progress.entriesWelcome();
}

/**
 * Called with each heartbeat: a leader under disk pressure hands over to a voter whose disk is ok. False where there is
 * none.
 */
export function yieldUnderPressure(server: ServerState, role: LeaderRole): boolean {
  if (role.transfer !== undefined) return true;
  if (server.diskPressure === 'ok') return false;
  const successor = successorWithCapacity(server, role);
  if (successor === undefined) return false;
  wakeLeader(server, role);
  return startTransfer(server, role, successor);
}

/**
 * The best voter that has reported its disk as ok since this server leads: two leaders under pressure would otherwise
 * hand over to each other for ever.
 */
function successorWithCapacity(
  { configuration, log, settings, nowMs }: ServerState,
  role: LeaderRole,
): ActorId | undefined {
  const fit = [...role.progress].filter(
    ([actor, { linkOpen, diskPressure, confirmedRound, state, lastHeardMs }]) =>
      configuration.voters.includes(actor) &&
      linkOpen &&
      diskPressure === 'ok' &&
      confirmedRound > 0 &&
      state === 'replicate' &&
      lastHeardMs > nowMs - settings.electionTimeoutMs,
  );
  const behind = (matchIndex: LogIndex): number => log.lastIndex - matchIndex;
  return fit.sort(([, a], [, b]) => behind(a.matchIndex) - behind(b.matchIndex))[0]?.[0];
}

/** Why a leader takes no events now. `yielding`: it is handing over to a server that does. */
export type EventRefusal = 'yielding' | 'own disk' | 'majority';

/** Undefined where events may be proposed, as far as disks go. */
export function refusalOfEvents(server: ServerState): EventRefusal | undefined {
  const { role } = server;
  if (role.name !== 'leader') return undefined;
  const takes = (actor: ActorId): boolean => actor === server.self || role.progress.get(actor)?.diskPressure !== 'full';
  const isUnderPressure = server.diskPressure !== 'ok';
  if (!isUnderPressure && isQuorum(server.configuration, takes)) return undefined;
  // Followers report their disks with heartbeats, which a leader sends only while it is awake.
  wakeLeader(server, role);
  if (!isUnderPressure) return 'majority';
  return yieldUnderPressure(server, role) ? 'yielding' : 'own disk';
}
