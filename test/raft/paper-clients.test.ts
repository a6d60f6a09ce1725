/** Leadership transfer and reads. Sections are those of Ongaro, "Consensus: Bridging Theory and Practice" (2014). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, LIMITS, term } from '../../src/base/index.js';
import { Cluster } from './cluster.js';

test('§3.10 leadership goes to a follower that is up to date, within one election', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  assert.equal(cluster.transfer(1, 3), true);
  assert.equal(cluster.sentBy(1, 'timeout-now').length, 1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [3]);
  assert.equal(cluster.node(3).core.term, 2);
});

test('§3.10 a follower that lags is brought up to date first, and proposals are refused meanwhile', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut(3);
  cluster.propose(1, 'a');
  cluster.settle();
  cluster.heal();
  assert.equal(cluster.transfer(1, 3), true);
  assert.deepEqual(cluster.sentBy(1, 'timeout-now'), []);
  assert.equal(cluster.propose(1, 'refused'), undefined);
  cluster.link(1, 3, 'open');
  cluster.settle();
  assert.deepEqual(cluster.leaders, [3]);
  assert.equal(cluster.logOf(3), '1:no-op 1:a 2:no-op');
});

test('§3.10 a transfer that does not come about in an election time-out is given up', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut(3);
  cluster.transfer(1, 3);
  for (let beat = 0; beat < 10; beat++) {
    cluster.tick(100, 1);
    cluster.settle();
  }
  assert.deepEqual(cluster.leaders, [1]);
  assert.notEqual(cluster.propose(1, 'again'), undefined);
});

test('§3.10 without a name, leadership goes to the reachable voter that holds most', () => {
  const cluster = new Cluster([1, 2, 3], { learners: [4] });
  cluster.elect(1);
  cluster.cut(2);
  cluster.propose(1, 'a');
  cluster.settle();
  cluster.transfer(1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [3]);
});

test('§3.10 there is no transfer to a learner, a stranger, oneself, or from a follower', () => {
  const cluster = new Cluster([1, 2, 3], { learners: [4] });
  cluster.cut(4);
  cluster.elect(1);
  for (const to of [1, 4, 9]) assert.equal(cluster.transfer(1, to), false, `to ${to}`);
  assert.equal(cluster.transfer(2, 3), false);
  assert.notEqual(cluster.propose(1, 'a'), undefined);
  assert.equal(new Cluster([1]).transfer(1), false);
});

test('§3.10 the election of a transfer is not held up by the recent-leader rule', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.inject(1, 2, { type: 'timeout-now', term: term(1) });
  cluster.settle();
  assert.deepEqual(cluster.leaders, [2]);
});

test('§3.10 a request to campaign of an older term is ignored', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.transfer(1, 2);
  cluster.settle();
  cluster.inject(1, 3, { type: 'timeout-now', term: term(1) });
  cluster.settle();
  assert.deepEqual(cluster.leaders, [2]);
  assert.equal(cluster.node(2).core.term, 2);
});

test('§6.4 read index: no answer before the no-op is committed, then at its index', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.propose(1, 'a');
  cluster.settle();
  cluster.transfer(1, 2);
  while (cluster.node(2).core.role !== 'leader') {
    cluster.deliver();
    for (const node of cluster.nodes.values()) if (node.writeUnderWay !== undefined) cluster.persist(node.self);
  }
  cluster.readIndex(2, 7);
  // Heartbeats are answered, but the no-op is nowhere durable.
  for (let turn = 0; turn < 5; turn++) cluster.deliver();
  assert.deepEqual(cluster.node(2).reads, []);
  assert.ok(cluster.node(2).core.commitIndex < (cluster.node(2).core.noopIndex ?? 0));
  cluster.settle();
  assert.deepEqual(cluster.node(2).reads, [{ requestId: 7, index: 3 }]);
});

test('§6.4 read index: an answer needs a heartbeat round that began after the read, and a majority in it', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.tick(100, 1);
  cluster.readIndex(1, 1);
  // The round of the tick was under way when the read came: its answers prove nothing about it.
  const early = cluster.inFlight.splice(0);
  for (const packet of early)
    if (packet.message.type === 'heartbeat') cluster.inject(packet.from, packet.to, packet.message);
  cluster.deliver(2, 1);
  assert.deepEqual(cluster.node(1).reads, []);
  cluster.settle();
  assert.deepEqual(cluster.node(1).reads, [{ requestId: 1, index: 1 }]);
});

test('§6.4 read index: none by a deposed leader', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut(1);
  cluster.tick(2000, 2);
  cluster.settle();
  cluster.propose(2, 'new');
  cluster.settle();
  assert.equal(cluster.node(1).core.role, 'leader', 'it does not know yet');
  cluster.readIndex(1, 5);
  cluster.settle();
  assert.deepEqual(cluster.node(1).reads, []);
  cluster.heal();
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(cluster.node(1).reads, [{ requestId: 5, index: 0 }], 'told as not confirmed');
});

test('§6.4 a follower reads by way of the leader', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.propose(1, 'a');
  cluster.settle();
  assert.equal(cluster.readIndex(3, 4), true);
  cluster.settle();
  assert.deepEqual(cluster.node(3).reads, [{ requestId: 4, index: 2 }]);
});

test('§6.4 reads that come while a round is under way share the next one', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  let rounds = 0;
  cluster.onSent = ({ to, message }) => {
    if (to === 2 && message.type === 'heartbeat' && message.round > 0) rounds++;
  };
  for (let requestId = 1; requestId <= 50; requestId++) cluster.readIndex(1, requestId);
  cluster.settle();
  assert.equal(cluster.node(1).reads.length, 50);
  assert.equal(rounds, 2);
});

test('§6.4 a single server confirms its reads by itself', () => {
  const cluster = new Cluster([1]);
  cluster.elect(1);
  cluster.readIndex(1, 3);
  assert.deepEqual(cluster.node(1).reads, [{ requestId: 3, index: 1 }]);
});

test('§6.4 without a leader there is nobody to ask', () => {
  assert.equal(new Cluster([1, 2, 3]).readIndex(1, 1), false);
});

test('reads that cannot be confirmed pile up to a bound only', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut(1);
  for (let requestId = 0; requestId < LIMITS.pendingReadIndexes + 10; requestId++) cluster.readIndex(1, requestId);
  const { role } = cluster.node(1).server;
  assert.ok(role.name === 'leader');
  assert.equal(role.reads.length, LIMITS.pendingReadIndexes);
  assert.equal(role.progress.has(actorId(2)), true);
});
