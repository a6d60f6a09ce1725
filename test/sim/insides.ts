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

export function utcMsOf(stream: Stream): number {
  const { clock } = partsOf(stream);
  assert(clock instanceof HostClock, 'a simulated group has a simulated clock');
  return clock.utcMs();
}

export function partsOf(stream: Stream): GroupParts {
  return Reflect.get(stream.group, 'parts');
}

export function coreOf(stream: Stream): RaftCore {
  const { core } = partsOf(stream);
  assert(core instanceof RaftCore, 'a group keeps consensus in `core`');
  return core;
}

export function queueOf(stream: Stream): AdmissionQueue<StreamCommand, StreamMachine> {
  const proposer: unknown = Reflect.get(stream.group, 'proposer');
  assert(proposer instanceof Proposer, 'a group keeps what it proposes in `proposer`');
  const { queue } = Reflect.get(proposer, 'options');
  assert(queue instanceof AdmissionQueue, 'a proposer has an admission queue');
  return queue;
}

/** The admission of all terms of a node: a new term gets the same one, with nothing in it. */
export function admissionOf(stream: Stream): Admission<StreamCommand, StreamMachine> {
  const queue = queueOf(stream);
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

export function serverOf(stream: Stream): ServerState {
  const server: unknown = Reflect.get(coreOf(stream), 'server');
  assert(server instanceof ServerState, 'the core keeps its state in `server`');
  return server;
}

/** Commits what a leader's followers are known to hold, as this configuration counts them. */
export function commit(
  stream: Stream,
  configuration: Configuration,
  counts: (index: LogIndex) => boolean = (index) => coreOf(stream).termAt(index) === stream.group.term,
): void {
  const core = coreOf(stream);
  const match = core.matchIndexes();
  if (match === undefined) return;
  const self = serverOf(stream).self;
  const index = committedIndex(configuration, (actor) =>
    actor === self ? core.durableIndex : (match.get(actor) ?? logIndex(0)),
  );
  if (index > core.commitIndex && counts(index)) serverOf(stream).commitIndex = index;
}

/** Leaves a joint configuration that is not committed, where `hasty` says so. */
export function goOnAsIfCommitted(
  stream: Stream,
  hasty: (latest: IndexedConfiguration, noopIndex: LogIndex) => boolean,
): void {
  const server = serverOf(stream);
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
