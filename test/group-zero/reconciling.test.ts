/** What is to be done next, by what there is: without groups, clocks or nodes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, type Member } from '../../src/base/index.js';
import { changesOf, nextCommand, type Speaker } from '../../src/cluster/index.js';
import type { ClusterMember, ClusterState } from '../../src/machine/cluster/index.js';
import type { Membership } from '../../src/wire/index.js';

const member = (actor: number, instance = String(actor).repeat(32).slice(0, 32)): Member => ({
  actor: actorId(actor),
  instance,
  address: `node${actor}:3000`,
});
const speaking = (actor: number, highest: number, address = `node${actor}:3000`): Speaker => ({
  ...member(actor),
  address,
  versions: { lowest: 1, highest },
});
const leaving = (actor: number): ClusterMember => ({ ...member(actor), isLeaving: true });
const stateOf = (...members: ClusterMember[]): ClusterState => ({
  clusterId: 'c'.repeat(32),
  activeVersion: 1,
  members,
  vouchers: [],
  streams: [],
});
const votersOf = (...members: Member[]): Membership => ({
  voters: members.map(({ actor }) => actor),
  outgoing: [],
  learners: [],
  members,
});
const ALL = [member(1), member(2), member(3)];

const changes = (membership: Membership, state: ClusterState): string[] =>
  changesOf(membership, state).map(({ seat, to }) => `${seat.actor} of ${seat.instance.slice(0, 4)} ${to}`);

test('a configuration that names the members needs no change', () => {
  assert.deepEqual(changes(votersOf(...ALL), stateOf(...ALL)), []);
});

test('a node whose seat is given to another goes first, then one that leaves, and what comes is last', () => {
  const state = stateOf(leaving(1), member(2), member(3, 'ffff'), member(4));
  assert.deepEqual(changes(votersOf(...ALL), state), ['3 of 3333 removed', '1 of 1111 removed', '4 of 4444 learner']);
});

test('another instance of an actor comes in when the one before is gone', () => {
  const state = stateOf(member(1), member(2, 'ffff'));
  assert.deepEqual(changes(votersOf(member(1), member(2)), state), ['2 of 2222 removed']);
  assert.deepEqual(changes(votersOf(member(1)), state), ['2 of ffff learner']);
});

test('nothing is changed before the cluster is founded, nor between two configurations', () => {
  assert.deepEqual(changes(votersOf(...ALL), { ...stateOf(), clusterId: '' }), []);
  assert.deepEqual(changes({ ...votersOf(member(1)), outgoing: [actorId(2)] }, stateOf(...ALL)), []);
});

test('no more learners than one group may have catch up at a time', () => {
  const learners = Array.from({ length: 16 }, (_, position) => actorId(position + 10));
  const crowded = { ...votersOf(member(1)), learners, members: [member(1), ...learners.map((actor) => member(actor))] };
  const members = crowded.members.map(({ actor }) => member(actor));
  assert.deepEqual(changes(crowded, stateOf(...members, member(5))), []);
});

const commandFor = (state: ClusterState, said: readonly Speaker[], committed = votersOf(...ALL)) => {
  const command = nextCommand(actorId(1), state, committed, said);
  return command === undefined ? undefined : [command.kind, command.content];
};

test('a member that no configuration names is forgotten, once it was to leave', () => {
  const state = stateOf(member(1), leaving(2));
  assert.equal(commandFor(state, []), undefined, 'the configuration still names it');
  const { actor, instance } = member(2);
  assert.deepEqual(commandFor(state, [], votersOf(member(1))), ['member-left', { actor, instance }]);
  assert.equal(commandFor(stateOf(...ALL), [], votersOf(member(1))), undefined, 'it is on its way in');
});

test('an address counts as the member says it, and that of nobody else', () => {
  const moved = { ...member(2), address: 'elsewhere:1' };
  assert.deepEqual(commandFor(stateOf(...ALL), [speaking(2, 1, 'elsewhere:1')]), ['member-address', moved]);
  const other = { ...speaking(2, 1, 'elsewhere:1'), instance: 'f'.repeat(32) };
  assert.equal(commandFor(stateOf(...ALL), [other, speaking(4, 1)]), undefined);
});

test('a version is active once every member speaks it, learners included, and each is there to say so', () => {
  const state = stateOf(...ALL);
  const said = (...highest: number[]): Speaker[] => highest.map((each, position) => speaking(position + 1, each));
  assert.equal(commandFor(state, said(2, 2)), undefined, 'one that is away may come back as an older one');
  assert.equal(commandFor(state, said(3, 2, 1)), undefined);
  assert.deepEqual(commandFor(state, said(3, 2, 4)), ['active-version', { version: 2 }]);
  assert.equal(commandFor({ ...state, activeVersion: 2 }, said(1, 1, 1)), undefined, 'it never goes back');
  assert.equal(commandFor(stateOf(...ALL, member(4)), [...said(2, 2, 2), speaking(4, 1)]), undefined);
});
