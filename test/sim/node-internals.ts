import assert from 'node:assert/strict';
import { AdmissionQueue } from '../../src/group/admission-queue.js';
import type { GroupParts } from '../../src/group/group-parts.js';
import { Proposer } from '../../src/group/proposer.js';
import { type Admission, STREAM_KIND, type StreamCommand, type StreamMachine } from '../../src/machine/index.js';
import { RaftCore } from '../../src/raft/index.js';
import { ServerState } from '../../src/raft/server-state.js';
import { MachineClock } from '../../src/sim/machine-clock.js';
import type { Stream } from '../../src/stream/index.js';

/* The inside of a node, for those who plant bugs in it. */

export function utcMsOf(replica: Stream): number {
  const { clock } = partsOf(replica);
  assert(clock instanceof MachineClock, 'a simulated group has a simulated clock');
  return clock.utcMs();
}

export function partsOf(replica: Stream): GroupParts {
  return Reflect.get(replica.group.id, 'parts');
}

export function coreOf(replica: Stream): RaftCore {
  const { core } = partsOf(replica);
  assert(core instanceof RaftCore, 'a group keeps consensus in `core`');
  return core;
}

export function queueOf(replica: Stream): AdmissionQueue<StreamCommand, StreamMachine> {
  const proposer: unknown = Reflect.get(replica.group.id, 'proposer');
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
