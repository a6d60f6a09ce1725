import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, logIndex, term } from '../../src/base/index.js';
import type { VoteRequest } from '../../src/raft/index.js';
import { SETTINGS } from './cluster.js';
import { quiescedCluster, quiescedNodes, terms } from './quiesced-cluster.js';

// Lost nodes

test('the leader falls silent: its followers campaign at random times within an election time-out, and elect', () => {
  const cluster = quiescedCluster();
  cluster.tick(60_000);
  cluster.crash(1);
  for (const survivor of [2, 3]) cluster.presence(survivor, 1, 'silent');
  for (const { core } of cluster.nodes.values()) {
    const afterMs = core.nextDeadlineMs - cluster.nowMs;
    assert.ok(afterMs >= 0 && afterMs <= SETTINGS.electionTimeoutMs, `${afterMs} ms`);
  }
  cluster.campaign(2);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [2]);
});

test('the link to the leader is refused: a quick election, as for a group that is awake', () => {
  const cluster = quiescedCluster();
  cluster.crash(1);
  for (const survivor of [2, 3]) cluster.link(survivor, 1, 'refused');
  for (const { core } of cluster.nodes.values()) assert.ok(core.nextDeadlineMs - cluster.nowMs <= 100);
  cluster.campaign(2);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [2]);
});

test('a leader that hears no majority of the nodes steps down soon after, and takes no write as a leader', () => {
  const cluster = quiescedCluster();
  cluster.tick(60_000);
  cluster.cut(1);
  cluster.presence(1, 2, 'silent');
  cluster.presence(1, 3, 'silent');
  cluster.tick(100, 1);
  assert.equal(cluster.node(1).core.role, 'follower');
  assert.equal(cluster.propose(1, 'late'), undefined);
});

test('a leader that does not hear one of two followers stays, awake', () => {
  const cluster = quiescedCluster();
  cluster.cut(3);
  cluster.presence(1, 3, 'silent');
  for (let passed = 0; passed < 5000; passed += 100) {
    cluster.tick(100, 1);
    cluster.settle();
  }
  assert.equal(cluster.node(1).core.role, 'leader');
  assert.ok(!quiescedNodes(cluster).includes(1));
});

test('a follower that comes back while the group is quiesced wakes it, deposes no leader and quiesces with it', () => {
  const cluster = quiescedCluster();
  cluster.crashed(2);
  cluster.link(1, 2, 'closed');
  cluster.restart(2);
  cluster.settle();
  assert.equal(cluster.node(2).core.leader, 1);
  cluster.tick(100, 1);
  cluster.settle();
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(quiescedNodes(cluster).sort(), [1, 2, 3]);
  assert.deepEqual(terms(cluster), [1, 1, 1]);
});

// Campaigns in a group that has quiesced

/** The pre-vote of a server that was started again, and has heard of no other. */
const preVote: VoteRequest = {
  type: 'vote-request',
  term: term(2),
  lastIndex: logIndex(1),
  lastTerm: term(1),
  preVote: true,
  leadershipTransfer: false,
};

test('a server that campaigns wakes the leader, which speaks up at once', () => {
  const cluster = quiescedCluster();
  cluster.inject(3, 1, preVote);
  assert.equal(cluster.sentBy(1, 'heartbeat').length, 2);
  assert.deepEqual(
    cluster.sentBy(1, 'vote-response').map(({ granted }) => granted),
    [false],
  );
});

test('one that campaigns and reaches only a follower is refused, and the follower has the leader speak up', () => {
  const cluster = quiescedCluster();
  cluster.cut(3, 1);
  cluster.inject(3, 2, preVote);
  assert.deepEqual(
    cluster.sentBy(2, 'vote-response').map(({ granted }) => granted),
    [false],
  );
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1]);
  assert.deepEqual(terms(cluster), [1, 1, 1]);
  assert.ok(cluster.node(2).core.nextDeadlineMs < Number.POSITIVE_INFINITY);
});

test('a leader that leads no more and stays mute is counted on for one election time-out', () => {
  const cluster = quiescedCluster();
  cluster.cut(1);
  const ask = (): void => cluster.inject(3, 2, preVote);
  ask();
  cluster.tick(SETTINGS.electionTimeoutMs, 3);
  cluster.inFlight = [];
  ask();
  assert.deepEqual(
    cluster.sentBy(2, 'vote-response').map(({ granted }) => granted),
    [true],
  );
});

test('one whose own leader asks for a vote follows it no more', () => {
  const cluster = quiescedCluster();
  cluster.inject(1, 2, preVote);
  assert.equal(cluster.node(2).core.leader, undefined);
  assert.deepEqual(
    cluster.sentBy(2, 'vote-response').map(({ granted }) => granted),
    [true],
  );
});

test('a server that was removed and has not heard of it wakes no other, and gets no vote', () => {
  const cluster = quiescedCluster([1, 2], { spares: [4] });
  cluster.tick(60_000);
  for (const to of [1, 2]) cluster.inject(4, to, preVote);
  cluster.inject(4, 2, { ...preVote, preVote: false });
  assert.deepEqual(quiescedNodes(cluster), [1, 2]);
  for (const from of [1, 2]) assert.ok(cluster.sentBy(from, 'vote-response').every(({ granted }) => !granted));
  assert.equal(cluster.node(2).core.term, 1);
});

test('a late heartbeat of the leader wakes a follower, which tells the leader', () => {
  for (const round of [0, 1]) {
    const cluster = quiescedCluster();
    cluster.inject(1, 2, { type: 'heartbeat', term: term(1), commitIndex: logIndex(0), round, quiesce: false });
    assert.ok(!quiescedNodes(cluster).includes(2));
    cluster.settle();
    assert.ok(!quiescedNodes(cluster).includes(1), 'it heartbeats again');
    cluster.tick(100, 1);
    cluster.settle();
    assert.deepEqual(quiescedNodes(cluster), [1, 2, 3]);
  }
});

test('a server of a later term wakes all', () => {
  const cluster = quiescedCluster();
  cluster.inject(3, 1, { type: 'heartbeat-result', term: term(5), round: 0, quiesced: false });
  assert.equal(cluster.node(1).core.role, 'follower');
  assert.equal(cluster.node(1).core.term, 5);
  assert.ok(cluster.node(1).core.nextDeadlineMs < Number.POSITIVE_INFINITY);
});

test('whom it leans on, and who leans on it, is what the driver has to watch', () => {
  const cluster = quiescedCluster();
  assert.deepEqual(cluster.node(1).core.watchedPeers, [2, 3].map(actorId));
  assert.deepEqual(cluster.node(2).core.watchedPeers, [actorId(1)]);
  cluster.propose(1, 'a');
  cluster.settle();
  for (const { core } of cluster.nodes.values()) assert.deepEqual(core.watchedPeers, []);
});
