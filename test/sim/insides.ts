import assert from 'node:assert/strict';
import { type LogIndex, logIndex } from '../../src/base/index.js';
import { AdmissionQueue } from '../../src/group/admission-queue.js';
import type { GroupParts } from '../../src/group/group-parts.js';
import { Proposer } from '../../src/group/proposer.js';
import type { Admission } from '../../src/machine/index.js';
import { STREAM_KIND, type StreamCommand, type StreamMachine } from '../../src/machine/stream/index.js';
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
import { HostClock } from '../../src/sim/host-clock.js';
import { GroupStore, type GroupWrite } from '../../src/storage/group/group-store.js';
import { MarkerFile } from '../../src/storage/log/marker-file.js';
import type { Stream } from '../../src/stream/index.js';

/*
 * The inside of a node, where a planted bug sits. What stands here knows the names of private fields, and says so where
 * they change.
 */

export function utcMsOf(replica: Stream): number {
  const { clock } = partsOf(replica);
  assert(clock instanceof HostClock, 'a simulated group has a simulated clock');
  return clock.utcMs();
}

export function partsOf(replica: Stream): GroupParts {
  return Reflect.get(replica.group, 'parts');
}

export function coreOf(replica: Stream): RaftCore {
  const { core } = partsOf(replica);
  assert(core instanceof RaftCore, 'a group keeps consensus in `core`');
  return core;
}

export function queueOf(replica: Stream): AdmissionQueue<StreamCommand, StreamMachine> {
  const proposer: unknown = Reflect.get(replica.group, 'proposer');
  assert(proposer instanceof Proposer, 'a group keeps what it proposes in `proposer`');
  const { queue } = Reflect.get(proposer, 'options');
  assert(queue instanceof AdmissionQueue, 'a proposer has an admission queue');
  return queue;
}

/** The admission of all terms of a node: a new term gets the same one, with nothing in it. */
export function admissionOf(replica: Stream): Admission<StreamCommand, StreamMachine> {
  const queue = queueOf(replica);
  const options = Reflect.get(queue, 'options');
  let inTerm = options.kind.admission();
  const admission: Admission<StreamCommand, StreamMachine> = {
    decide: (command, machine) => inTerm.decide(command, machine),
    appended: (command, index) => inTerm.appended(command, index),
    applied: (index) => inTerm.applied(index),
  };
  const renewed = (): typeof admission => {
    inTerm = STREAM_KIND.admission();
    return admission;
  };
  Reflect.set(queue, 'options', { ...options, kind: { ...options.kind, admission: renewed } });
  Reflect.set(queue, 'admission', admission);
  return admission;
}

export function serverOf(replica: Stream): ServerState {
  const server: unknown = Reflect.get(coreOf(replica), 'server');
  assert(server instanceof ServerState, 'the core keeps its state in `server`');
  return server;
}

/** Commits what a leader's followers are known to hold, as this configuration counts them. */
export function commit(
  replica: Stream,
  configuration: Configuration,
  counts: (index: LogIndex) => boolean = (index) => coreOf(replica).termAt(index) === replica.group.term,
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
  replica: Stream,
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
