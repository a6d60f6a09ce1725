import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counter, logIndex, term } from '../../../src/base/index.js';
import {
  ClusterAdmission,
  type ClusterCommand,
  ClusterMachine,
  clusterCommand,
  leavingCommand,
} from '../../../src/machine/cluster/index.js';
import { LEADER, member, takeIn } from './fixture.js';

function machineOf(...commands: readonly ClusterCommand[]): ClusterMachine {
  const machine = ClusterMachine.initial();
  for (const [position, { kind, payload }] of commands.entries()) {
    const place = { index: logIndex(position + 1), term: term(1), firstCounter: counter(1), eventCount: 0, timeMs: 0 };
    machine.apply({ ...place, kind, payload });
  }
  return machine;
}

const founded = (...more: readonly ClusterCommand[]): ClusterMachine =>
  machineOf(
    clusterCommand('cluster', LEADER, { clusterId: 'c'.repeat(32), members: [member(1), member(2)], streams: [] }),
    ...more,
  );

/** The code of the refusal, or what is done instead. */
function decided(command: ClusterCommand, machine = founded()): string {
  const decision = new ClusterAdmission().decide(command, machine);
  return decision.kind === 'refuse' ? decision.error.code : decision.kind;
}

test('a node is taken in where its actor id is free, is its own, or was that of the one that it was', () => {
  const successor = member(2, 'f'.repeat(32));
  assert.equal(decided(takeIn(member(3), 1)), 'append');
  assert.equal(decided(takeIn(member(2), 1)), 'append');
  assert.equal(decided(takeIn(successor, 1)), 'FOREIGN_NODE');
  assert.equal(decided(takeIn(successor, 1, 'e'.repeat(32))), 'FOREIGN_NODE');
  assert.equal(decided(takeIn(successor, 1, member(2).instance)), 'append');
});

test('vouchers ascend: one that was signed before another was applied is signed again', () => {
  const machine = founded(takeIn(member(3), 9));
  assert.equal(decided(takeIn(member(4), 9), machine), 'MEMBERSHIP_CHANGING');
  assert.equal(decided(takeIn(member(4), 10), machine), 'append');
});

test('only a member can leave, and one has to stay', () => {
  assert.equal(decided(leavingCommand(LEADER, member(3))), 'INVALID_ARGUMENT');
  assert.equal(decided(leavingCommand(LEADER, member(2, 'f'.repeat(32)))), 'INVALID_ARGUMENT');
  assert.equal(decided(leavingCommand(LEADER, member(2))), 'append');
  assert.equal(
    decided(leavingCommand(LEADER, member(1)), founded(leavingCommand(LEADER, member(2)))),
    'INVALID_ARGUMENT',
  );
});

test('what was appended before takes effect before the next is decided', () => {
  const admission = new ClusterAdmission();
  const machine = founded();
  const first = takeIn(member(3), 4);
  assert.equal(admission.decide(first, machine).kind, 'append');
  admission.appended(first, logIndex(2));
  assert.deepEqual(admission.decide(leavingCommand(LEADER, member(3)), machine), { kind: 'wait', index: 2 });
  admission.applied(logIndex(1));
  assert.equal(admission.decide(leavingCommand(LEADER, member(3)), machine).kind, 'wait');
  admission.applied(logIndex(2));
  assert.equal(admission.decide(leavingCommand(LEADER, member(2)), machine).kind, 'append');
});
