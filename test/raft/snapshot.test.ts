/** Section 5.2: a follower that lacks what the leader's log begins after. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, logIndex } from '../../src/base/index.js';
import { Cluster, type ClusterOptions } from './cluster.js';

/** Node 1 leads; 3 has heard nothing of its entries 2 to 6; the logs of 1 and 2 begin after entry 5. */
function cutCluster(options: ClusterOptions = {}): Cluster {
  const cluster = new Cluster([1, 2, 3], options);
  cluster.elect(1);
  cluster.cut(3);
  for (const data of ['a', 'b', 'c', 'd', 'e']) {
    cluster.propose(1, data);
    cluster.settle();
  }
  for (const actor of [1, 2]) cluster.cutLog(actor, 5);
  return cluster;
}

/** The links are back, and those of node 3 are open to both sides. */
function reconnect(cluster: Cluster): void {
  cluster.heal();
  for (const peer of [1, 2]) {
    cluster.link(peer, 3, 'open');
    cluster.link(3, peer, 'open');
  }
}

function matchOf(cluster: Cluster, leader: number, actor: number): number | undefined {
  return cluster.node(leader).core.matchIndexes()?.get(actorId(actor));
}

test('a follower that lacks the begin gets it in pieces, and the entries after it', () => {
  const cluster = cutCluster();
  const pieces: number[] = [];
  cluster.onSent = ({ message }) => {
    if (message.type === 'snapshot') pieces.push(message.offset);
  };
  reconnect(cluster);
  cluster.settle();
  const { core, entries, snapshots } = cluster.node(3);
  assert.equal(snapshots, 1);
  assert.ok(
    pieces.length > 1 && pieces.every((offset, position) => position === 0 || offset > (pieces[position - 1] ?? 0)),
    `${pieces}`,
  );
  assert.deepEqual([core.beginIndex, core.lastIndex, core.commitIndex], [5, 6, 6]);
  assert.deepEqual(entries, cluster.node(1).entries);
  assert.equal(matchOf(cluster, 1, 3), 6);
});

test('a snapshot is acknowledged only when it is durable', () => {
  const cluster = cutCluster();
  reconnect(cluster);
  for (let turn = 0; turn < 50 && cluster.node(3).core.beginIndex === 0; turn++) {
    cluster.deliver();
    for (const { self, writeUnderWay } of cluster.nodes.values())
      if (self !== 3 && writeUnderWay !== undefined) cluster.persist(self);
  }
  for (let turn = 0; turn < 5; turn++) cluster.deliver();
  assert.equal(cluster.node(3).core.beginIndex, 5);
  assert.ok((matchOf(cluster, 1, 3) ?? 0) <= 1, 'it has promised nothing of it');
  cluster.settle();
  assert.equal(matchOf(cluster, 1, 3), 6);
});

test('a crash before the snapshot is durable leaves the old log, and it is sent again', () => {
  const cluster = cutCluster();
  reconnect(cluster);
  for (let turn = 0; turn < 50 && cluster.node(3).core.beginIndex === 0; turn++) {
    cluster.deliver();
    for (const { self, writeUnderWay } of cluster.nodes.values())
      if (self !== 3 && writeUnderWay !== undefined) cluster.persist(self);
  }
  cluster.crashed(3, 0);
  cluster.restart(3);
  assert.equal(cluster.node(3).core.beginIndex, 0);
  cluster.settle();
  assert.deepEqual([cluster.node(3).core.beginIndex, matchOf(cluster, 1, 3)], [5, 6]);
});

test('a piece that is lost is asked for again', () => {
  const cluster = cutCluster();
  reconnect(cluster);
  for (let turn = 0; turn < 50 && cluster.sentBy(1, 'snapshot').every(({ offset }) => offset === 0); turn++)
    cluster.deliver();
  cluster.drop(1, 3);
  cluster.settle();
  assert.equal(cluster.node(3).core.beginIndex, 0);
  for (let passed = 0; passed < 3000 && matchOf(cluster, 1, 3) !== 6; passed += 100) {
    cluster.tick(100, 1);
    cluster.settle();
  }
  assert.deepEqual([cluster.node(3).core.beginIndex, matchOf(cluster, 1, 3)], [5, 6]);
});

test('a follower that has the entries keeps what follows them', () => {
  const cluster = cutCluster();
  const before = cluster.node(2).entries.length;
  const whole = { offset: 0, totalBytes: 1, digest: '', data: new Uint8Array(1) };
  cluster.inject(1, 2, {
    type: 'snapshot',
    term: cluster.node(1).core.term,
    index: logIndex(5),
    indexTerm: cluster.node(1).core.term,
    ...whole,
  });
  assert.deepEqual([cluster.node(2).entries.length, cluster.node(2).snapshots], [before, 0]);
  assert.equal(cluster.sentBy(2, 'append-result').at(-1)?.index, before);
});

test('logs that differ at the begin meet below it: a snapshot takes the place of the other history', () => {
  // Node 3 has entries of an old leader up to where the log of the new one begins.
  const cluster = new Cluster([1, 2, 3], {
    disks: {
      1: { terms: [1, 2, 2, 2], term: 2 },
      2: { terms: [1, 2, 2, 2], term: 2 },
      3: { terms: [1, 1, 1, 1], term: 2 },
    },
  });
  cluster.cut(3);
  cluster.elect(1);
  cluster.cutLog(1, 4);
  reconnect(cluster);
  cluster.settle();
  assert.deepEqual(cluster.node(3).entries, cluster.node(1).entries);
  assert.equal(cluster.node(3).snapshots, 1);
});

test('a snapshot of a former leader is not taken', () => {
  const cluster = cutCluster();
  const { term } = cluster.node(1).core;
  cluster.campaign(2);
  cluster.settle();
  reconnect(cluster);
  cluster.settle();
  const { snapshots } = cluster.node(3);
  const whole = { offset: 0, totalBytes: 1, digest: 'x', data: new Uint8Array(1) };
  const future = logIndex(cluster.node(3).core.lastIndex + 5);
  cluster.tick(1000, 2);
  cluster.settle();
  if (cluster.node(3).core.term === term) cluster.campaign(2);
  cluster.settle();
  assert.ok(cluster.node(3).core.term > term, 'another term has begun');
  cluster.inject(1, 3, { type: 'snapshot', term, index: future, indexTerm: term, ...whole });
  assert.equal(cluster.node(3).snapshots, snapshots);
  assert.ok(cluster.node(3).core.beginIndex < future);
});

test('a configuration below the begin is that of the snapshot', () => {
  const cluster = new Cluster([1, 2], { spares: [3] });
  cluster.elect(1);
  cluster.propose(1, 'a');
  cluster.settle();
  cluster.cutLog(1, cluster.node(1).core.commitIndex);
  cluster.change(1, ['learner', 3]);
  cluster.settle();
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(
    cluster.node(3).core.configuration.voters.length + cluster.node(3).core.configuration.learners.length,
    3,
  );
  assert.deepEqual(cluster.node(3).entries, cluster.node(1).entries);
  assert.equal(cluster.node(3).snapshots, 1);
});
