/** Leader election and its safety. Sections are those of Ongaro, "Consensus: Bridging Theory and Practice" (2014). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ActorId, actorId, logIndex, term } from '../../src/base/index.js';
import type { VoteRequest } from '../../src/raft/index.js';
import { Cluster } from './cluster.js';

function voteRequest(request: Partial<VoteRequest> & { term: VoteRequest['term'] }): VoteRequest {
  return {
    type: 'vote-request',
    lastIndex: logIndex(0),
    lastTerm: term(0),
    preVote: false,
    leadershipTransfer: false,
    ...request,
  };
}

/** Answers to real votes that `voter` has sent, by candidate. */
function votesOf(cluster: Cluster, voter: number): [to: ActorId, granted: boolean][] {
  return cluster.inFlight.flatMap(({ from, to, message }): [ActorId, boolean][] =>
    from === voter && message.type === 'vote-response' && !message.preVote ? [[to, message.granted]] : [],
  );
}

test('§3.4 a follower that hears of no leader starts an election, and a majority makes it leader', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.campaign(1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1]);
  assert.equal(cluster.node(1).core.term, 1);
  assert.equal(cluster.node(2).core.leader, 1);
  assert.equal(cluster.node(3).core.leader, 1);
});

test('§3.4 heartbeats keep followers from campaigning', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  for (let beat = 0; beat < 50; beat++) {
    cluster.tick(100);
    cluster.settle();
  }
  assert.deepEqual(cluster.leaders, [1]);
  assert.equal(cluster.node(1).core.term, 1);
});

test('§3.4 a server grants one vote per term, and the same candidate gets it again', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.inject(2, 1, voteRequest({ term: term(5) }));
  cluster.persist(1);
  assert.deepEqual(votesOf(cluster, 1), [[2, true]]);
  cluster.drop();
  cluster.inject(3, 1, voteRequest({ term: term(5) }));
  assert.deepEqual(votesOf(cluster, 1), [[3, false]]);
  cluster.drop();
  cluster.inject(2, 1, voteRequest({ term: term(5) }));
  assert.deepEqual(votesOf(cluster, 1), [[2, true]]);
});

test('§3.4 a candidate that learns of the leader of its term follows it', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.cut(2);
  cluster.campaign(1);
  cluster.deliver();
  cluster.deliver();
  cluster.persist(1);
  assert.equal(cluster.node(1).core.role, 'candidate');
  cluster.inject(3, 1, { type: 'heartbeat', term: term(1), commitIndex: logIndex(0), round: 1, quiesce: false });
  assert.equal(cluster.node(1).core.role, 'follower');
  assert.equal(cluster.node(1).core.leader, 3);
});

test('§3.4 a split vote is tried again, at another time, in a later term', () => {
  const cluster = new Cluster([1, 2, 3, 4]);
  cluster.campaign(1);
  cluster.campaign(2);
  // Both pass their pre-votes; then each half of the voters hears another candidate first.
  cluster.deliver();
  cluster.deliver();
  for (const candidate of [1, 2]) cluster.persist(candidate);
  cluster.deliver(1, 3);
  cluster.deliver(2, 4);
  cluster.settle();
  assert.deepEqual(cluster.leaders, []);
  assert.equal(cluster.node(1).core.term, 1);
  cluster.campaign(1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1]);
  assert.equal(cluster.node(1).core.term, 2);
});

test('§3.3 a server of an older term is told so, and a leader of an older term steps down', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut(1);
  cluster.tick(2000, 2);
  cluster.settle();
  assert.equal(cluster.node(2).core.role, 'leader');
  cluster.heal();
  cluster.inject(1, 3, { type: 'heartbeat', term: term(1), commitIndex: logIndex(0), round: 99, quiesce: false });
  cluster.settle();
  assert.equal(cluster.node(1).core.role, 'follower');
  assert.equal(cluster.node(1).core.term, 2);
});

test('§3.6.1 election restriction: no vote for a log that ends in an earlier term, or sooner in the same one', () => {
  const table: [lastTerm: number, lastIndex: number, granted: boolean][] = [
    [1, 9, false],
    [2, 2, false],
    [2, 3, true],
    [2, 4, true],
    [3, 1, true],
  ];
  for (const [lastTerm, lastIndex, granted] of table) {
    for (const preVote of [true, false]) {
      const cluster = new Cluster([1, 2, 3], { disks: { 1: { terms: [1, 1, 2] } } });
      cluster.inject(
        2,
        1,
        voteRequest({ term: term(4), lastIndex: logIndex(lastIndex), lastTerm: term(lastTerm), preVote }),
      );
      if (!preVote) cluster.persist(1);
      const [answer] = cluster.sentBy(1, 'vote-response');
      assert.equal(answer?.granted, granted, `last ${lastIndex}/${lastTerm}, pre-vote ${preVote}`);
    }
  }
});

test('§3.8 a vote leaves only after it is durable', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.inject(2, 1, voteRequest({ term: term(1) }));
  assert.deepEqual(votesOf(cluster, 1), []);
  cluster.persist(1);
  assert.deepEqual(votesOf(cluster, 1), [[2, true]]);
  assert.deepEqual(cluster.node(1).disk.hardState, { term: 1, vote: 2 });
});

test('§3.8 a vote that was lost in a crash was never sent, and one that was sent is remembered', () => {
  for (const persisted of [false, true]) {
    const cluster = new Cluster([1, 2, 3]);
    cluster.inject(2, 1, voteRequest({ term: term(1) }));
    if (persisted) cluster.persist(1);
    assert.equal(votesOf(cluster, 1).length, persisted ? 1 : 0);
    cluster.start(actorId(1), cluster.crash(1));
    cluster.drop();
    cluster.inject(3, 1, voteRequest({ term: term(1) }));
    if (!persisted) cluster.persist(1);
    assert.deepEqual(votesOf(cluster, 1), [[3, !persisted]]);
  }
});

test("§3.8 a candidate's own vote counts, and asks others, only when it is durable", () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.campaign(1);
  cluster.deliver();
  cluster.deliver();
  assert.equal(cluster.node(1).core.role, 'candidate');
  assert.deepEqual(cluster.sentBy(1, 'vote-request'), []);
  cluster.persist(1);
  assert.equal(cluster.sentBy(1, 'vote-request').length, 2);
});

test('§3.8 a single server leads when its own vote is durable', () => {
  const cluster = new Cluster([1]);
  cluster.campaign(1);
  assert.equal(cluster.node(1).core.role, 'candidate');
  cluster.persist(1);
  assert.equal(cluster.node(1).core.role, 'leader');
  assert.equal(cluster.node(1).core.commitIndex, 0, 'its no-op is not durable yet');
  cluster.settle();
  assert.equal(cluster.node(1).core.commitIndex, 1);
});

test('§4.2.3 a vote request is ignored where a leader was heard within the election time-out', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  const request = voteRequest({ term: term(9), lastIndex: logIndex(9), lastTerm: term(8) });
  for (const voter of [1, 2]) {
    cluster.inject(3, voter, request);
    assert.equal(cluster.node(voter).core.term, 1);
  }
  assert.deepEqual(cluster.inFlight, []);
  cluster.tick(1000, 2);
  cluster.drop();
  cluster.inject(3, 2, request);
  assert.equal(cluster.node(2).core.term, 9);
});

test('§9.6 pre-vote: a server that was cut off does not raise its term, and does not disturb on its return', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut(3);
  for (let beat = 0; beat < 60; beat++) {
    cluster.tick(100);
    cluster.settle();
  }
  assert.ok(cluster.node(3).campaigns > 5);
  assert.equal(cluster.node(3).core.term, 1);
  cluster.heal();
  cluster.tick(99);
  cluster.campaign(3);
  cluster.settle();
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1]);
  assert.equal(cluster.node(1).core.term, 1);
  assert.equal(cluster.node(3).core.leader, 1);
});

test('§9.6 a pre-vote changes nothing at the voter: no term, no vote, nothing to write', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.inject(2, 1, voteRequest({ term: term(1), preVote: true }));
  assert.deepEqual(cluster.sentBy(1, 'vote-response'), [
    { type: 'vote-response', term: 1, granted: true, preVote: true },
  ]);
  assert.equal(cluster.node(1).writeUnderWay, undefined);
  cluster.inject(3, 1, voteRequest({ term: term(1), preVote: true }));
  assert.equal(
    cluster.sentBy(1, 'vote-response').filter(({ granted }) => granted).length,
    2,
    'a pre-vote is no promise',
  );
});

test('§9.6 pre-votes of another round do not make a candidate', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.campaign(1);
  cluster.inject(2, 1, { type: 'vote-response', term: term(9), granted: true, preVote: true });
  assert.equal(cluster.node(1).core.role, 'pre-candidate');
  assert.equal(cluster.node(1).core.term, 0);
});

test('§9.6 a pre-candidate of an older term learns the newer one from a refusal', () => {
  const cluster = new Cluster([1, 2, 3], { disks: { 2: { term: 7 }, 3: { term: 7 } } });
  cluster.campaign(1);
  cluster.settle();
  assert.equal(cluster.node(1).core.term, 7);
  cluster.campaign(1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1]);
  assert.equal(cluster.node(1).core.term, 8);
});

test('§4.2.2 a learner neither campaigns nor is asked for its vote, and its vote does not count', () => {
  const cluster = new Cluster([1, 2], { learners: [3] });
  assert.equal(cluster.node(3).core.nextDeadlineMs, Number.POSITIVE_INFINITY);
  cluster.campaign(1);
  assert.deepEqual(new Set(cluster.inFlight.map(({ to }) => to)), new Set([2]));
  cluster.drop();
  cluster.inject(3, 1, { type: 'vote-response', term: term(1), granted: true, preVote: true });
  assert.equal(cluster.node(1).core.role, 'pre-candidate');
});

test('§4.3 joint: an election needs a majority of both configurations', () => {
  const halves: [alive: number[], elected: boolean][] = [
    [[1, 2, 3], false],
    [[1, 2, 4], false],
    [[1, 2, 4, 5], true],
    [[1, 3, 5, 6], true],
  ];
  for (const [alive, elected] of halves) {
    const cluster = new Cluster([1, 2, 3], { outgoing: [4, 5, 6] });
    for (const actor of [1, 2, 3, 4, 5, 6]) if (!alive.includes(actor)) cluster.cut(actor);
    cluster.campaign(1);
    cluster.settle();
    assert.equal(cluster.node(1).core.role === 'leader', elected, `alive: ${alive}`);
  }
});

test('§4.3 joint: a voter that becomes a learner is still asked by the half that it is leaving', () => {
  const cluster = new Cluster([1], { outgoing: [1, 2, 3], learners: [2] });
  cluster.cut(3);
  cluster.campaign(1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1]);
});

test('§6.2 check quorum: a leader that a majority has not answered for an election time-out steps down', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut(2);
  for (let beat = 0; beat < 30; beat++) {
    cluster.tick(100, 1);
    cluster.settle();
  }
  assert.equal(cluster.node(1).core.role, 'leader', 'one answering follower is enough of three');
  cluster.cut(3);
  for (let beat = 0; beat < 9; beat++) cluster.tick(100, 1);
  assert.equal(cluster.node(1).core.role, 'leader');
  cluster.tick(200, 1);
  assert.equal(cluster.node(1).core.role, 'follower');
  assert.equal(cluster.node(1).core.leader, undefined);
  assert.equal(cluster.propose(1, 'late'), undefined);
});

test('§6.2 check quorum: a leader that only learners answer steps down', () => {
  const cluster = new Cluster([1, 2, 3], { learners: [4, 5] });
  cluster.win(1);
  cluster.cut(2);
  cluster.cut(3);
  for (let beat = 0; beat < 12; beat++) {
    cluster.tick(100, 1);
    cluster.settle();
  }
  assert.equal(cluster.node(1).core.role, 'follower');
});

test('a link that is refused makes the follower of a dead leader campaign at once', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.crash(1);
  for (const survivor of [2, 3]) cluster.link(survivor, 1, 'refused');
  const due = cluster.node(2).core.nextDeadlineMs - cluster.nowMs;
  assert.ok(due >= 20 && due <= 100, `after ${due} ms`);
  cluster.campaign(2);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [2]);
});

test('a link that is merely closed changes nothing: the leader may only be paused', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  const due = cluster.node(2).core.nextDeadlineMs;
  cluster.link(2, 1, 'closed');
  cluster.link(2, 3, 'refused');
  assert.equal(cluster.node(2).core.nextDeadlineMs, due);
  assert.equal(cluster.node(2).core.leader, 1);
});
