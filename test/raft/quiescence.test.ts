import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, logIndex, term } from '../../src/base/index.js';
import type { VoteRequest } from '../../src/raft/index.js';
import { Cluster, type ClusterOptions, SETTINGS } from './cluster.js';

function clusterOf(voters: readonly number[], options: ClusterOptions = {}): Cluster {
  return new Cluster(voters, { ...options, settings: { ...SETTINGS, quiescence: true } });
}

/** Node 1 leads, and nobody has been asked to rest. */
function led(voters: readonly number[] = [1, 2, 3], options: ClusterOptions = {}): Cluster {
  const cluster = clusterOf(voters, options);
  cluster.campaign(1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1]);
  return cluster;
}

/** Node 1 leads, and everybody rests. */
function resting(voters: readonly number[] = [1, 2, 3], options: ClusterOptions = {}): Cluster {
  const cluster = led(voters, options);
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(quiet(cluster), voters, 'everybody rests');
  return cluster;
}

function quiet(cluster: Cluster): number[] {
  return [...cluster.nodes.values()].filter(({ core }) => core.isQuiet).map(({ self }) => self);
}

function terms(cluster: Cluster): number[] {
  return [...cluster.nodes.values()].map(({ core }) => core.term);
}

// Falling quiet

test('a leader whose followers hold and know everything asks them to rest, and rests when all do', () => {
  const cluster = led();
  cluster.tick(100, 1);
  assert.ok(cluster.sentBy(1, 'heartbeat').every(({ quiesce }) => quiesce));
  cluster.deliver();
  assert.deepEqual(quiet(cluster), [2, 3]);
  cluster.deliver(2, 1);
  assert.deepEqual(quiet(cluster), [2, 3], 'one answer is missing');
  cluster.deliver(3, 1);
  assert.deepEqual(quiet(cluster), [1, 2, 3]);
});

test('who rests has no deadline, and sends nothing however much time passes', () => {
  const cluster = resting();
  for (const { core } of cluster.nodes.values()) assert.equal(core.nextDeadlineMs, Number.POSITIVE_INFINITY);
  cluster.tick(1_000_000);
  assert.deepEqual(cluster.inFlight, []);
  assert.deepEqual(terms(cluster), [1, 1, 1]);
});

test('a server alone rests', () => {
  const cluster = clusterOf([1]);
  cluster.elect(1);
  cluster.tick(100, 1);
  assert.deepEqual(quiet(cluster), [1]);
  assert.equal(cluster.propose(1, 'a'), 3 - 1);
  cluster.settle();
  assert.equal(cluster.node(1).core.commitIndex, 2);
});

test('without the setting nobody rests', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(quiet(cluster), []);
});

test('nobody is asked to rest while an entry is not everywhere, a link is down, a node is silent or a learner catches up', () => {
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

test('a follower that holds more or less than the leader says, or watches the leader no more, does not rest', () => {
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
      cluster.sentBy(2, 'heartbeat-result').map((result) => result.quiet),
      [false],
      why,
    );
    assert.deepEqual(quiet(cluster), [], why);
  }
});

test('what is proposed between the question and the answers keeps the leader awake', () => {
  const cluster = led();
  cluster.tick(100, 1);
  cluster.deliver();
  cluster.propose(1, 'a');
  cluster.settle();
  assert.deepEqual(quiet(cluster), []);
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(quiet(cluster), [1, 2, 3], 'asked again');
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
  assert.ok(!quiet(cluster).includes(1), 'the answer of 2 was to the round before');
  cluster.settle();
  assert.deepEqual(quiet(cluster), [1, 2, 3]);
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
      assert.ok(!quiet(cluster).includes(1));
    }
    cluster.heal();
    cluster.tick(100, 1);
    cluster.settle();
    assert.deepEqual(quiet(cluster), [1, 2, 3]);
  }
});

// Waking

test('a proposal wakes the leader, and its append the followers; then all rest again', () => {
  const cluster = resting();
  cluster.tick(60_000);
  assert.equal(cluster.propose(1, 'a'), 2);
  assert.deepEqual(quiet(cluster), [2, 3]);
  cluster.settle();
  assert.deepEqual(quiet(cluster), []);
  assert.equal(cluster.node(2).core.commitIndex, 2);
  cluster.tick(100, 1);
  assert.equal(cluster.node(1).core.role, 'leader', 'the silence of followers that rested is not held against them');
  cluster.settle();
  assert.deepEqual(quiet(cluster), [1, 2, 3]);
});

test('a leader that was woken gives its followers the time to answer', () => {
  const cluster = resting();
  cluster.tick(60_000);
  cluster.propose(1, 'a');
  cluster.tick(100, 1);
  assert.equal(cluster.node(1).core.role, 'leader', 'nobody was to speak while the group rested');
});

test('a read at the leader takes a heartbeat round of its own', () => {
  const cluster = resting();
  cluster.tick(60_000);
  cluster.readIndex(1, 7);
  assert.deepEqual(cluster.node(1).reads, [], 'not before a majority has answered');
  assert.equal(cluster.sentBy(1, 'heartbeat').length, 2);
  cluster.settle();
  assert.deepEqual(cluster.node(1).reads, [{ requestId: 7, index: 1 }]);
});

test('a read at a follower wakes it and the leader', () => {
  const cluster = resting();
  cluster.readIndex(2, 7);
  assert.deepEqual(quiet(cluster), [1, 3]);
  cluster.settle();
  assert.deepEqual(cluster.node(2).reads, [{ requestId: 7, index: 1 }]);
});

test('a paused leader that rested confirms no read when it goes on and another leads', () => {
  const cluster = resting();
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
  const cluster = resting([1, 2, 3], {});
  assert.ok(cluster.change(1, ['removed', 3]) !== undefined);
  assert.ok(!quiet(cluster).includes(1));
  cluster.settle();
  assert.deepEqual(cluster.node(1).core.configuration.voters, [1, 2]);

  const other = resting();
  assert.ok(other.transfer(1, 2));
  other.settle();
  assert.deepEqual(other.leaders, [2]);
});

test('a follower that is about to forward something expects to hear the leader', () => {
  const cluster = resting();
  cluster.node(2).core.expectLeader(cluster.nowMs);
  assert.ok(cluster.node(2).core.nextDeadlineMs < Number.POSITIVE_INFINITY);
});

// Lost nodes

test('the node of the leader falls silent: its followers campaign at random times within an election time-out, and elect', () => {
  const cluster = resting();
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
  const cluster = resting();
  cluster.crash(1);
  for (const survivor of [2, 3]) cluster.link(survivor, 1, 'refused');
  for (const { core } of cluster.nodes.values()) assert.ok(core.nextDeadlineMs - cluster.nowMs <= 100);
  cluster.campaign(2);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [2]);
});

test('a leader that hears no majority of the nodes steps down soon after, and takes no write as a leader', () => {
  const cluster = resting();
  cluster.tick(60_000);
  cluster.cut(1);
  cluster.presence(1, 2, 'silent');
  cluster.presence(1, 3, 'silent');
  cluster.tick(100, 1);
  assert.equal(cluster.node(1).core.role, 'follower');
  assert.equal(cluster.propose(1, 'late'), undefined);
});

test('a leader that does not hear one of two followers stays, awake', () => {
  const cluster = resting();
  cluster.cut(3);
  cluster.presence(1, 3, 'silent');
  for (let passed = 0; passed < 5000; passed += 100) {
    cluster.tick(100, 1);
    cluster.settle();
  }
  assert.equal(cluster.node(1).core.role, 'leader');
  assert.ok(!quiet(cluster).includes(1));
});

test('a follower that comes back while the group rests wakes it, deposes nobody and rests with it', () => {
  const cluster = resting();
  cluster.crashed(2);
  cluster.link(1, 2, 'closed');
  cluster.restart(2);
  cluster.settle();
  assert.equal(cluster.node(2).core.leader, 1);
  cluster.tick(100, 1);
  cluster.settle();
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(quiet(cluster).sort(), [1, 2, 3]);
  assert.deepEqual(terms(cluster), [1, 1, 1]);
});

// Campaigns in a group that rests

/** As of one that was started again, and heard of nobody. */
const preVote: VoteRequest = {
  type: 'vote-request',
  term: term(2),
  lastIndex: logIndex(1),
  lastTerm: term(1),
  preVote: true,
  leadershipTransfer: false,
};

test('one that campaigns wakes the leader, which speaks up at once', () => {
  const cluster = resting();
  cluster.inject(3, 1, preVote);
  assert.equal(cluster.sentBy(1, 'heartbeat').length, 2);
  assert.deepEqual(
    cluster.sentBy(1, 'vote-response').map(({ granted }) => granted),
    [false],
  );
});

test('one that campaigns and reaches only a follower is refused, and the follower has the leader speak up', () => {
  const cluster = resting();
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
  const cluster = resting();
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
  const cluster = resting();
  cluster.inject(1, 2, preVote);
  assert.equal(cluster.node(2).core.leader, undefined);
  assert.deepEqual(
    cluster.sentBy(2, 'vote-response').map(({ granted }) => granted),
    [true],
  );
});

test('one that was removed and has not heard of it wakes nobody, and gets no vote', () => {
  const cluster = resting([1, 2], { spares: [4] });
  cluster.tick(60_000);
  for (const to of [1, 2]) cluster.inject(4, to, preVote);
  cluster.inject(4, 2, { ...preVote, preVote: false });
  assert.deepEqual(quiet(cluster), [1, 2]);
  for (const from of [1, 2]) assert.ok(cluster.sentBy(from, 'vote-response').every(({ granted }) => !granted));
  assert.equal(cluster.node(2).core.term, 1);
});

test('a late heartbeat of the leader wakes a follower, which tells the leader', () => {
  for (const round of [0, 1]) {
    const cluster = resting();
    cluster.inject(1, 2, { type: 'heartbeat', term: term(1), commitIndex: logIndex(0), round, quiesce: false });
    assert.ok(!quiet(cluster).includes(2));
    cluster.settle();
    assert.ok(!quiet(cluster).includes(1), 'it heartbeats again');
    cluster.tick(100, 1);
    cluster.settle();
    assert.deepEqual(quiet(cluster), [1, 2, 3]);
  }
});

test('a server of a later term ends the rest of all', () => {
  const cluster = resting();
  cluster.inject(3, 1, { type: 'heartbeat-result', term: term(5), round: 0, quiet: false });
  assert.equal(cluster.node(1).core.role, 'follower');
  assert.equal(cluster.node(1).core.term, 5);
  assert.ok(cluster.node(1).core.nextDeadlineMs < Number.POSITIVE_INFINITY);
});

test('whom it leans on, and who leans on it, is what the driver has to watch', () => {
  const cluster = resting();
  assert.deepEqual(cluster.node(1).core.restsWith, [2, 3].map(actorId));
  assert.deepEqual(cluster.node(2).core.restsWith, [actorId(1)]);
  cluster.propose(1, 'a');
  cluster.settle();
  for (const { core } of cluster.nodes.values()) assert.deepEqual(core.restsWith, []);
});
