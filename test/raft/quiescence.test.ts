import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logIndex, term } from '../../src/base/index.js';
import { Cluster } from './cluster.js';
import { clusterOf, led, quiescedCluster, quiescedNodes, terms } from './quiesced-cluster.js';

// Quiescing

test('a leader whose followers hold and know everything asks them to quiesce, and does so when all have', () => {
  const cluster = led();
  cluster.tick(100, 1);
  assert.ok(cluster.sentBy(1, 'heartbeat').every(({ quiesce }) => quiesce));
  cluster.deliver();
  assert.deepEqual(quiescedNodes(cluster), [2, 3]);
  cluster.deliver(2, 1);
  assert.deepEqual(quiescedNodes(cluster), [2, 3], 'one answer is missing');
  cluster.deliver(3, 1);
  assert.deepEqual(quiescedNodes(cluster), [1, 2, 3]);
});

test('a server that has quiesced has no deadline, and sends nothing however much time passes', () => {
  const cluster = quiescedCluster();
  for (const { core } of cluster.nodes.values()) assert.equal(core.nextDeadlineMs, Number.POSITIVE_INFINITY);
  cluster.tick(1_000_000);
  assert.deepEqual(cluster.inFlight, []);
  assert.deepEqual(terms(cluster), [1, 1, 1]);
});

test('a server alone quiesces', () => {
  const cluster = clusterOf([1]);
  cluster.elect(1);
  cluster.tick(100, 1);
  assert.deepEqual(quiescedNodes(cluster), [1]);
  assert.equal(cluster.propose(1, 'a'), 3 - 1);
  cluster.settle();
  assert.equal(cluster.node(1).core.commitIndex, 2);
});

test('without the setting no server quiesces', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(quiescedNodes(cluster), []);
});

test('followers are asked to quiesce only once entries are everywhere, links up, nodes heard, learners voters', () => {
  const busy: readonly [string, (cluster: Cluster) => void][] = [
    ['an entry is on its way', (cluster) => void cluster.propose(1, 'a')],
    [
      'a member lacks what is committed',
      (cluster) => {
        cluster.cut(1, 3);
        cluster.propose(1, 'a');
        cluster.settle();
        assert.equal(cluster.node(1).core.commitIndex, 2);
        cluster.heal();
      },
    ],
    ['a link is down', (cluster) => cluster.link(1, 3, 'closed')],
    ['a node is silent', (cluster) => cluster.presence(1, 3, 'silent')],
    ['the members change', (cluster) => void cluster.change(1, ['learner', 4])],
  ];
  for (const [why, begin] of busy) {
    const cluster = led([1, 2, 3], { spares: [4] });
    begin(cluster);
    cluster.inFlight = [];
    cluster.tick(100, 1);
    assert.ok(
      cluster.sentBy(1, 'heartbeat').every(({ quiesce }) => !quiesce),
      why,
    );
  }
});

test('a follower that holds more or less than the leader says, or watches the leader no more, does not quiesce', () => {
  const differing: readonly [string, (cluster: Cluster) => void][] = [
    ['another commit index', () => undefined],
    ['a link that is down', (cluster) => cluster.link(2, 1, 'closed')],
    ['a node that is silent', (cluster) => cluster.presence(2, 1, 'silent')],
  ];
  for (const [why, begin] of differing) {
    const cluster = led();
    begin(cluster);
    const commitIndex = logIndex(why === 'another commit index' ? 0 : 1);
    cluster.inject(1, 2, { type: 'heartbeat', term: term(1), commitIndex, round: 9, quiesce: true });
    assert.deepEqual(
      cluster.sentBy(2, 'heartbeat-result').map((result) => result.quiesced),
      [false],
      why,
    );
    assert.deepEqual(quiescedNodes(cluster), [], why);
  }
});

test('what is proposed between the question and the answers keeps the leader awake', () => {
  const cluster = led();
  cluster.tick(100, 1);
  cluster.deliver();
  cluster.propose(1, 'a');
  cluster.settle();
  assert.deepEqual(quiescedNodes(cluster), []);
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(quiescedNodes(cluster), [1, 2, 3], 'asked again');
});

test('an answer to an earlier question counts for nothing', () => {
  const cluster = led();
  cluster.tick(100, 1);
  cluster.deliver(1, 2);
  cluster.drop(1, 3);
  cluster.tick(100, 1);
  cluster.deliver(2, 1);
  cluster.deliver(1, 3);
  cluster.deliver(3, 1);
  assert.ok(!quiescedNodes(cluster).includes(1), 'the answer of 2 was to the round before');
  cluster.settle();
  assert.deepEqual(quiescedNodes(cluster), [1, 2, 3]);
});

test('a lost question or a lost answer leaves the leader awake, and it asks again', () => {
  for (const [from, to] of [
    [1, 3],
    [3, 1],
  ] as const) {
    const cluster = led();
    cluster.cut(from, to);
    for (let round = 0; round < 3; round++) {
      cluster.tick(100, 1);
      cluster.settle();
      assert.ok(!quiescedNodes(cluster).includes(1));
    }
    cluster.heal();
    cluster.tick(100, 1);
    cluster.settle();
    assert.deepEqual(quiescedNodes(cluster), [1, 2, 3]);
  }
});

// Waking

test('a proposal wakes the leader, and its append the followers; then all quiesce again', () => {
  const cluster = quiescedCluster();
  cluster.tick(60_000);
  assert.equal(cluster.propose(1, 'a'), 2);
  assert.deepEqual(quiescedNodes(cluster), [2, 3]);
  cluster.settle();
  assert.deepEqual(quiescedNodes(cluster), []);
  assert.equal(cluster.node(2).core.commitIndex, 2);
  cluster.tick(100, 1);
  assert.equal(cluster.node(1).core.role, 'leader', 'followers that had quiesced are not blamed for their silence');
  cluster.settle();
  assert.deepEqual(quiescedNodes(cluster), [1, 2, 3]);
});

test('a leader that has woken gives its followers the time to answer', () => {
  const cluster = quiescedCluster();
  cluster.tick(60_000);
  cluster.propose(1, 'a');
  cluster.tick(100, 1);
  assert.equal(cluster.node(1).core.role, 'leader', 'no server was to speak while the group was quiesced');
});

test('a read at the leader takes a heartbeat round of its own', () => {
  const cluster = quiescedCluster();
  cluster.tick(60_000);
  cluster.readIndex(1, 7);
  assert.deepEqual(cluster.node(1).reads, [], 'not before a majority has answered');
  assert.equal(cluster.sentBy(1, 'heartbeat').length, 2);
  cluster.settle();
  assert.deepEqual(cluster.node(1).reads, [{ requestId: 7, index: 1 }]);
});

test('a read at a follower wakes it and the leader', () => {
  const cluster = quiescedCluster();
  cluster.readIndex(2, 7);
  assert.deepEqual(quiescedNodes(cluster), [1, 3]);
  cluster.settle();
  assert.deepEqual(cluster.node(2).reads, [{ requestId: 7, index: 1 }]);
});

test('a paused leader that had quiesced confirms no read when it goes on and another leads', () => {
  const cluster = quiescedCluster();
  cluster.cut(1);
  for (const survivor of [2, 3]) cluster.presence(survivor, 1, 'silent');
  cluster.campaign(2);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1, 2]);
  cluster.propose(2, 'newer');
  cluster.settle();
  cluster.heal();
  cluster.readIndex(1, 7);
  cluster.settle();
  assert.deepEqual(cluster.node(1).reads, [{ requestId: 7, index: 0 }], 'not confirmed');
  assert.deepEqual(cluster.leaders, [2]);
});

test('a change of the members and a transfer wake the group', () => {
  const cluster = quiescedCluster([1, 2, 3], {});
  assert.ok(cluster.change(1, ['removed', 3]) !== undefined);
  assert.ok(!quiescedNodes(cluster).includes(1));
  cluster.settle();
  assert.deepEqual(cluster.node(1).core.configuration.voters, [1, 2]);

  const other = quiescedCluster();
  assert.ok(other.transfer(1, 2));
  other.settle();
  assert.deepEqual(other.leaders, [2]);
});

test('a follower that is about to forward something expects to hear the leader', () => {
  const cluster = quiescedCluster();
  cluster.node(2).core.expectLeader(cluster.nowMs);
  assert.ok(cluster.node(2).core.nextDeadlineMs < Number.POSITIVE_INFINITY);
});
