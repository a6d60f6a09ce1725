import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId } from '../../src/base/index.js';
import { Cluster } from './cluster.js';

const beat = (cluster: Cluster, ...actors: number[]): void => {
  cluster.tick(100, ...actors);
  cluster.settle();
};

test('§4.2.1 a new member learns first, and votes once it has caught up', () => {
  const cluster = new Cluster([1, 2, 3], { spares: [4] });
  cluster.elect(1);
  for (const data of ['a', 'b', 'c', 'd']) cluster.propose(1, data);
  cluster.settle();
  cluster.change(1, ['learner', 4]);
  cluster.settle();
  assert.equal(cluster.logOf(4), '1:no-op 1:a 1:b 1:c 1:d 1:1,2,3 learning 4 1:1,2,3,4 from 1,2,3 1:1,2,3,4');
  for (const actor of [1, 2, 3, 4]) assert.deepEqual(cluster.node(actor).core.configuration.voters, [1, 2, 3, 4]);
});

test('§4.2.1 one that replicates too slowly stays a learner, until a round of its is short', () => {
  const cluster = new Cluster([1, 2, 3], { spares: [4] });
  cluster.elect(1);
  cluster.change(1, ['learner', 4]);
  // It answers, and its disk takes longer than an election time-out.
  for (let turn = 0; turn < 12; turn++) {
    cluster.tick(100, 1);
    cluster.deliver();
    for (const actor of [1, 2, 3]) if (cluster.node(actor).writeUnderWay !== undefined) cluster.persist(actor);
    cluster.deliver();
  }
  cluster.propose(1, 'a');
  for (let turn = 0; turn < 3; turn++) {
    cluster.deliver();
    for (const actor of [1, 2, 3]) if (cluster.node(actor).writeUnderWay !== undefined) cluster.persist(actor);
  }
  cluster.persist(4);
  cluster.deliver(4, 1);
  assert.deepEqual(cluster.node(1).core.configuration.learners, [4], 'the round was over after more than a second');
  cluster.settle();
  assert.deepEqual(cluster.node(1).core.configuration, { voters: [1, 2, 3, 4], outgoing: [], learners: [] });
});

test('a learner that is not there is not made a voter', () => {
  const cluster = new Cluster([1, 2, 3], { spares: [4] });
  cluster.cut(4);
  cluster.elect(1);
  cluster.change(1, ['learner', 4]);
  for (let turn = 0; turn < 30; turn++) beat(cluster, 1);
  assert.deepEqual(cluster.node(1).core.configuration, { voters: [1, 2, 3], outgoing: [], learners: [4] });
});

test('§4.1 there is one change at a time, and none before the leader has committed in its own term', () => {
  const cluster = new Cluster([1, 2, 3], { spares: [4, 5] });
  cluster.win(1);
  const change = (): unknown => cluster.node(1).core.changeMembers([{ actor: actorId(4), to: 'voter' }], cluster.nowMs);
  assert.equal(change(), 'nothing committed yet');
  cluster.settle();
  assert.notEqual(cluster.change(1, ['voter', 4]), undefined);
  assert.equal(
    cluster.node(1).core.changeMembers([{ actor: actorId(5), to: 'voter' }], cluster.nowMs),
    'another change is under way',
  );
  cluster.settle();
  assert.deepEqual(cluster.node(1).core.configuration, { voters: [1, 2, 3, 4], outgoing: [], learners: [] });
  assert.equal(
    cluster.node(2).core.changeMembers([{ actor: actorId(5), to: 'voter' }], cluster.nowMs),
    'not the leader',
  );
  cluster.transfer(1, 2);
  assert.equal(cluster.node(1).core.changeMembers([{ actor: actorId(5), to: 'voter' }], cluster.nowMs), 'handing over');
});

test('§4.1 the new configuration is in force as soon as it is in the log', () => {
  const cluster = new Cluster([1, 2, 3], { spares: [4, 5] });
  cluster.elect(1);
  for (const actor of [2, 3]) cluster.cut(actor);
  cluster.change(1, ['voter', 4], ['voter', 5]);
  cluster.settle();
  assert.equal(cluster.node(1).core.commitIndex, 1, 'three of the five, and one of the three before');
  assert.equal(cluster.node(4).core.configuration.outgoing.length, 3);
});

test('§4.3 any change of voters is made in one go: all of them may be others', () => {
  const cluster = new Cluster([1, 2, 3], { spares: [4, 5, 6] });
  cluster.elect(1);
  cluster.change(1, ['removed', 1], ['removed', 2], ['removed', 3], ['voter', 4], ['voter', 5], ['voter', 6]);
  cluster.settle();
  beat(cluster);
  const [leader] = cluster.leaders;
  assert.ok(leader !== undefined && leader >= 4, `the leader is ${leader}`);
  assert.deepEqual(cluster.node(4).core.configuration, { voters: [4, 5, 6], outgoing: [], learners: [] });
  for (const actor of [2, 3])
    assert.deepEqual(cluster.node(actor).core.configuration.voters, [4, 5, 6], 'who left knows it');
  cluster.propose(leader, 'a');
  cluster.settle();
  assert.match(cluster.logOf(5), /4,5,6 from 1,2,3 1:4,5,6 2:no-op 2:a$/);
});

test('§4.2.2 a leader that is removed leads until that is committed, and not longer', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.change(1, ['removed', 1]);
  assert.equal(cluster.node(1).core.role, 'leader');
  cluster.settle();
  assert.equal(cluster.node(1).core.role, 'follower');
  assert.equal(cluster.leaders.length, 1, 'it has told the next one to campaign, without a time-out');
  const { term } = cluster.node(2).core;
  for (let turn = 0; turn < 30; turn++) beat(cluster);
  assert.equal(cluster.node(2).core.term, term, 'the removed one campaigns no more');
});

test('§4.2.3 a removed server that does not know it deposes nobody', () => {
  const cluster = new Cluster([1, 2, 3, 4]);
  cluster.elect(1);
  cluster.cut(4);
  cluster.change(1, ['removed', 4]);
  cluster.settle();
  cluster.heal();
  for (let turn = 0; turn < 40; turn++) beat(cluster, 1, 4);
  assert.ok(cluster.node(4).campaigns > 3, 'it tries');
  assert.deepEqual(cluster.leaders, [1]);
  assert.equal(cluster.node(1).core.term, 1);
});

test('§4.3 a leader that falls in the middle of a change: the next one goes on with it', () => {
  const cluster = new Cluster([1, 2, 3], { spares: [4, 5] });
  cluster.elect(1);
  cluster.change(1, ['removed', 3], ['voter', 4], ['voter', 5]);
  // The joint configuration reaches a majority of both, and no server hears that it is committed.
  cluster.persist(1);
  cluster.deliver(1);
  for (const actor of [2, 3, 4, 5]) if (cluster.node(actor).writeUnderWay !== undefined) cluster.persist(actor);
  cluster.crash(1);
  cluster.campaign(2);
  cluster.settle();
  beat(cluster, 2);
  assert.deepEqual(cluster.leaders, [2]);
  assert.deepEqual(cluster.node(2).core.configuration, { voters: [1, 2, 4, 5], outgoing: [], learners: [] });
});

test('a change that is not committed is taken back with its entry', () => {
  const cluster = new Cluster([1, 2, 3], { spares: [4] });
  cluster.elect(1);
  cluster.cut(1);
  cluster.change(1, ['removed', 2], ['voter', 4]);
  assert.deepEqual(cluster.node(1).core.configuration.voters, [1, 3, 4]);
  cluster.campaign(2);
  cluster.settle();
  cluster.heal();
  cluster.link(2, 1, 'open');
  cluster.settle();
  beat(cluster, 2);
  assert.deepEqual(cluster.node(1).core.configuration, { voters: [1, 2, 3], outgoing: [], learners: [] });
});

test('§4.2.2 one that is left out still campaigns until that is committed, where nobody else can win', () => {
  const cluster = new Cluster([1, 2]);
  cluster.elect(1);
  cluster.change(1, ['removed', 1]);
  // Server 2 acknowledges the joint configuration, and gets nothing of what follows from that.
  cluster.persist(1);
  cluster.deliver(1);
  cluster.persist(2);
  cluster.deliver(2);
  cluster.persist(1);
  assert.equal(cluster.logOf(1), '1:no-op 1:2 from 1,2 1:2');
  assert.equal(cluster.logOf(2), '1:no-op 1:2 from 1,2');
  cluster.crashed(1);
  cluster.inFlight = [];
  cluster.restart(1);
  cluster.campaign(2);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [], 'server 1 has more, and does not vote for it');
  cluster.campaign(1);
  cluster.settle();
  beat(cluster, 1, 2);
  assert.deepEqual(cluster.leaders, [2]);
  assert.equal(cluster.node(2).core.configuration.voters.length, 1);
});
