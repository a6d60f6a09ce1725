import assert from 'node:assert/strict';
import { type LogIndex, logIndex } from '../../src/base/index.js';
import {
  type Configuration,
  committedIndex,
  type IndexedConfiguration,
  isJoint,
  leaveJoint,
  RaftCore,
} from '../../src/raft/index.js';
import { appendConfiguration } from '../../src/raft/leader.js';
import { ServerState } from '../../src/raft/server-state.js';
import type { Replica } from '../../src/replica/index.js';
import { ProducerDesk } from '../../src/replica/producer-desk.js';
import { Proposer } from '../../src/replica/proposer.js';
import { HostClock } from '../../src/sim/host-clock.js';
import { GroupStore, type GroupWrite } from '../../src/storage/group/group-store.js';
import { MarkerFile } from '../../src/storage/log/marker-file.js';

/*
 * The inside of a node, where a planted bug sits. What stands here knows the names of private fields, and says so where
 * they change.
 */

export function utcMsOf(replica: Replica): number {
  const clock: unknown = Reflect.get(replica, 'clock');
  assert(clock instanceof HostClock, 'a replica keeps its clock in `clock`');
  return clock.utcMs();
}

export function coreOf(replica: Replica): RaftCore {
  const core: unknown = Reflect.get(replica, 'core');
  assert(core instanceof RaftCore, 'a replica keeps consensus in `core`');
  return core;
}

export function deskOf(replica: Replica): ProducerDesk {
  const proposer: unknown = Reflect.get(replica, 'proposer');
  assert(proposer instanceof Proposer, 'a replica keeps what it proposes in `proposer`');
  const desk: unknown = Reflect.get(proposer, 'desk');
  assert(desk instanceof ProducerDesk, 'a proposer decides about producers with `desk`');
  return desk;
}

export function serverOf(replica: Replica): ServerState {
  const server: unknown = Reflect.get(coreOf(replica), 'server');
  assert(server instanceof ServerState, 'the core keeps its state in `server`');
  return server;
}

/** Commits what a leader's followers are known to hold, as this configuration counts them. */
export function commit(
  replica: Replica,
  configuration: Configuration,
  counts: (index: LogIndex) => boolean = (index) => coreOf(replica).termAt(index) === replica.term,
): void {
  const core = coreOf(replica);
  const match = core.matchIndexes();
  if (match === undefined) return;
  const self = serverOf(replica).self;
  const index = committedIndex(configuration, (actor) =>
    actor === self ? core.durableIndex : (match.get(actor) ?? logIndex(0)),
  );
  if (index > core.commitIndex && counts(index)) serverOf(replica).commitIndex = index;
}

/** Leaves a joint configuration that is not committed, where `hasty` says so. */
export function goOnAsIfCommitted(
  replica: Replica,
  hasty: (latest: IndexedConfiguration, noopIndex: LogIndex) => boolean,
): void {
  const server = serverOf(replica);
  const { role, configurations } = server;
  const { latest } = configurations;
  if (role.name !== 'leader' || !isJoint(latest.configuration) || !hasty(latest, role.noopIndex)) return;
  appendConfiguration(server, role, leaveJoint(latest.configuration));
}

export function markEarly(store: unknown): void {
  assert(store instanceof GroupStore);
  const marker: unknown = Reflect.get(store, 'marker');
  assert(marker instanceof MarkerFile);
  const write = store.write.bind(store);
  store.write = async (request: GroupWrite) => {
    const last = request.records.at(-1);
    if (last !== undefined)
      marker.note({ ...marker.current, index: last.index, term: last.term, checksum: last.checksum });
    await write(request);
  };
}
