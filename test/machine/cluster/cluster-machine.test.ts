import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counter, groupId, logIndex, term } from '../../../src/base/index.js';
import {
  CLUSTER_KIND,
  type ClusterCommand,
  ClusterMachine,
  clusterCommand,
  leavingCommand,
} from '../../../src/machine/cluster/index.js';
import { LEADER, member, takeIn, voucher } from './fixture.js';

const CLUSTER = 'c'.repeat(32);
const STREAMS = [{ name: 'default', group: groupId(1), incarnation: 'a'.repeat(32) }];
const FOUNDING = clusterCommand('cluster', LEADER, {
  clusterId: CLUSTER,
  members: [member(2), member(1)],
  streams: STREAMS,
});

/** As the log has them: each in a record of its own. */
function applied(...commands: readonly ClusterCommand[]): ClusterMachine {
  const machine = ClusterMachine.initial();
  for (const command of commands) apply(machine, command);
  return machine;
}

function apply(machine: ClusterMachine, command: ClusterCommand): void {
  const payload = new Uint8Array(command.payloadBytes);
  CLUSTER_KIND.write(payload, [command], { firstCounter: counter(1), timestampMs: 0 });
  const index = logIndex(machine.appliedIndex + 1);
  machine.apply({
    kind: command.kind,
    index,
    term: term(1),
    firstCounter: counter(1),
    eventCount: 0,
    timeMs: 0,
    payload,
  });
}

const actorsOf = (machine: ClusterMachine): number[] => machine.state.members.map(({ actor }) => actor);

test('a cluster is founded once, whichever of its first leaders says so, and another takes its place', () => {
  const machine = applied(FOUNDING, takeIn(member(3), 5));
  const { state } = machine;
  assert.deepEqual(actorsOf(machine), [1, 2, 3], 'ascending by actor');
  apply(machine, FOUNDING);
  assert.equal(machine.state, state, 'the second founding changes nothing');
  apply(machine, clusterCommand('cluster', LEADER, { clusterId: 'd'.repeat(32), members: [member(3)], streams: [] }));
  assert.deepEqual(machine.state, {
    clusterId: 'd'.repeat(32),
    activeVersion: 1,
    members: [member(3)],
    vouchers: [],
    streams: [],
  });
});

test('a node that is taken in takes the place of the one that had its actor id, with its voucher', () => {
  const other = member(2, 'f'.repeat(32));
  const { state } = applied(FOUNDING, takeIn(other, 7));
  assert.deepEqual(state.members, [member(1), other]);
  assert.deepEqual(state.vouchers, [voucher(other, 7)]);
});

test('a member leaves in two steps, and nothing is said of a node that is none', () => {
  const machine = applied(FOUNDING, clusterCommand('member-left', LEADER, member(2)));
  assert.deepEqual(actorsOf(machine), [1, 2], 'it was not leaving');
  apply(machine, leavingCommand(LEADER, member(2)));
  assert.deepEqual(machine.state.members[1], { ...member(2), isLeaving: true });
  apply(machine, clusterCommand('member-address', LEADER, { ...member(2), address: 'elsewhere:1' }));
  assert.deepEqual(machine.state.members[1], { ...member(2), address: 'elsewhere:1', isLeaving: true });
  apply(machine, clusterCommand('member-left', LEADER, member(2, 'e'.repeat(32))));
  assert.deepEqual(actorsOf(machine), [1, 2], 'that was another node of its actor id');
  apply(machine, clusterCommand('member-left', LEADER, member(2)));
  assert.deepEqual(actorsOf(machine), [1]);
  apply(machine, clusterCommand('member-address', LEADER, { ...member(2), address: 'elsewhere:2' }));
  assert.deepEqual(actorsOf(machine), [1], 'an address takes no node in');
});

test('the active version never goes back', () => {
  const machine = applied(FOUNDING, clusterCommand('active-version', LEADER, { version: 3 }));
  apply(machine, clusterCommand('active-version', LEADER, { version: 2 }));
  assert.equal(machine.state.activeVersion, 3);
});

test('a decoded state is the same, and goes on in the same way', () => {
  const machine = applied(FOUNDING, takeIn({ ...member(3), address: 'nœud3:3000' }, 5));
  const decoded = ClusterMachine.decode(machine.encode());
  assert.deepEqual(decoded.state, machine.state);
  for (const each of [machine, decoded]) apply(each, leavingCommand(LEADER, member(1)));
  assert.deepEqual(decoded.encode(), machine.encode());
  assert.equal(decoded.appliedIndex, 3);
});

test('a state and a record of a newer version stop the node', () => {
  const newer = Buffer.from(Buffer.from(applied(FOUNDING).encode()).toString().replace('"format":1', '"format":2'));
  assert.throws(() => ClusterMachine.decode(newer), { code: 'UPGRADE_NEEDED' });
  const payload = Buffer.from('{"format":2}');
  const machine = applied(FOUNDING);
  const record = { index: logIndex(2), term: term(1), firstCounter: counter(1), eventCount: 0, timeMs: 0, payload };
  assert.throws(() => machine.apply({ ...record, kind: 'member' }), { code: 'UPGRADE_NEEDED' });
  assert.throws(() => machine.apply({ ...record, kind: 'events' }), /none of the cluster's/);
});
