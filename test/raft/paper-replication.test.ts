/** Replication and commitment. Sections are those of Ongaro, "Consensus: Bridging Theory and Practice" (2014). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, logIndex, term } from '../../src/base/index.js';
import { type Append, RaftCore } from '../../src/raft/index.js';
import { Cluster, entriesOfTerms, SETTINGS } from './cluster.js';

/**
 * An append of the leader of `appendTerm`, whose log has these terms, that carries the entries from `from` through
 * `to`.
 */
function append(
  appendTerm: number,
  terms: number[],
  from: number,
  to: number,
  commitIndex = 0,
): [Append, ReturnType<typeof entriesOfTerms>] {
  const entries = entriesOfTerms(terms).slice(from - 1, to);
  const message: Append = {
    type: 'append',
    term: term(appendTerm),
    previousIndex: logIndex(from - 1),
    previousTerm: term(terms[from - 2] ?? 0),
    commitIndex: logIndex(commitIndex),
    entries: entries.map((entry) => ({ index: entry.index, term: entry.term, bytes: 100 })),
  };
  return [message, entries];
}

function termsOf(cluster: Cluster, actor: number): number[] {
  return cluster.node(actor).entries.map((entry) => entry.term);
}

test('§3.5 an entry is committed when a majority holds it, and followers learn of it', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.propose(1, 'a');
  cluster.settle();
  for (const actor of [1, 2, 3]) {
    assert.equal(cluster.logOf(actor), '1:no-op 1:a');
    assert.equal(cluster.node(actor).core.commitIndex, 2);
  }
});

test('§3.5 a minority of slow or dead followers does not delay a commit', () => {
  const cluster = new Cluster([1, 2, 3, 4, 5]);
  cluster.elect(1);
  cluster.cut(4);
  cluster.cut(5);
  cluster.propose(1, 'a');
  cluster.settle();
  assert.equal(cluster.node(1).core.commitIndex, 2);
  assert.equal(cluster.node(2).core.commitIndex, 2);
});

test('§3.5 log matching: an append that would leave a gap, or whose predecessor differs, is refused', () => {
  const leaderLog = [1, 1, 4, 4, 5];
  const table: [follower: number[], from: number, accepted: boolean][] = [
    [[], 1, true],
    [[], 2, false],
    [[1], 3, false],
    [[1, 1], 3, true],
    [[1, 2], 3, false],
    [[1, 1, 4, 4], 5, true],
    [[1, 1, 3, 3, 3], 5, false],
  ];
  for (const [terms, from, accepted] of table) {
    const cluster = new Cluster([1, 2, 3], { disks: { 1: { terms, term: 5 } } });
    cluster.inject(2, 1, ...append(5, leaderLog, from, 5));
    while (cluster.node(1).writeUnderWay !== undefined) cluster.persist(1);
    const [answer] = cluster.sentBy(1, 'append-result');
    assert.equal(answer?.accepted, accepted, `follower [${terms}], append from ${from}`);
    assert.deepEqual(termsOf(cluster, 1), accepted ? leaderLog : terms);
  }
});

test('§3.5 conflicting entries are replaced, and only those', () => {
  const cluster = new Cluster([1, 2, 3], { disks: { 1: { terms: [1, 1, 2, 2, 2] } } });
  cluster.inject(2, 1, ...append(3, [1, 1, 2, 3], 3, 4));
  cluster.persist(1);
  assert.deepEqual(termsOf(cluster, 1), [1, 1, 2, 3]);
  assert.deepEqual(
    cluster.node(1).disk.entries.map((entry) => entry.term),
    [1, 1, 2, 3],
  );
});

test('§3.5 a duplicated, older append does not cut off what came after it', () => {
  const log = [1, 1, 1, 1, 1];
  const cluster = new Cluster([1, 2, 3], { disks: { 1: { terms: log } } });
  for (const [from, to] of [
    [1, 2],
    [2, 3],
    [4, 3],
  ] as const) {
    cluster.inject(2, 1, ...append(1, log, from, to));
    assert.deepEqual(termsOf(cluster, 1), log);
  }
  assert.equal(cluster.node(1).changedFrom, Number.POSITIVE_INFINITY);
});

test("§3.5 an append commits no more than what it shows to match the leader's log", () => {
  // The follower's entries 3 to 5 may be of another history.
  const cluster = new Cluster([1, 2, 3], { disks: { 1: { terms: [1, 1, 1, 1, 1], term: 2 } } });
  cluster.inject(2, 1, ...append(2, [1, 1, 2, 2, 2], 2, 2, 5));
  assert.equal(cluster.node(1).core.commitIndex, 2);
});

test("§3.5 a follower acknowledges what is durable and matches the leader's log, not the end of its own log", () => {
  const cluster = new Cluster([1, 2, 3], { disks: { 1: { terms: [1, 1, 1, 1, 1] } } });
  cluster.inject(2, 1, ...append(1, [1, 1, 1, 1, 1], 2, 3));
  assert.deepEqual(
    cluster.sentBy(1, 'append-result').map(({ index }) => index),
    [3],
  );
});

test('§3.5 one refusal skips a whole term', () => {
  const follower = [1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3];
  const leader = [1, 1, 1, 4, 4, 4, 5, 5, 6, 6, 6];
  const cluster = new Cluster([1, 2, 3], {
    disks: { 1: { terms: leader, term: 7 }, 2: { terms: follower, term: 7 }, 3: { terms: [1, 1, 1], term: 7 } },
  });
  let refusals = 0;
  cluster.onSent = ({ message }) => {
    if (message.type === 'append-result' && !message.accepted && message.index > 0) refusals++;
  };
  cluster.cut(3, 1);
  cluster.cut(1, 2);
  cluster.campaign(1);
  cluster.heal();
  cluster.campaign(1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1]);
  assert.deepEqual(termsOf(cluster, 2), [...leader, 8]);
  assert.deepEqual(termsOf(cluster, 3), [...leader, 8]);
  assert.ok(refusals <= 4, `${refusals} refusals for four terms`);
});

test('§3.5 figure 3.6: followers whose logs lack entries, have foreign ones, or both, are brought into line', () => {
  const leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  const followers = [
    [1, 1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 1, 4],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 1, 4, 4, 4, 4],
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  ];
  const disks = Object.fromEntries([leader, ...followers].map((terms, position) => [position + 1, { terms, term: 7 }]));
  const cluster = new Cluster([1, 2, 3, 4, 5, 6, 7], { disks });
  cluster.campaign(1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1]);
  for (const actor of [2, 3, 4, 5, 6, 7]) assert.deepEqual(cluster.node(actor).entries, cluster.node(1).entries);
});

test('§3.6.2 figure 3.7: an entry of an old term is committed by one of the own term above it, not by counting', () => {
  // (c) of the figure: server 1 leads again in term 4 and has replicated entry 2 of term 2 to a majority.
  const disks = {
    1: { terms: [1, 2], term: 3 },
    2: { terms: [1, 2], term: 3 },
    3: { terms: [1], term: 3 },
    4: { terms: [1], term: 3 },
    5: { terms: [1, 3], term: 3 },
  };
  const cluster = new Cluster([1, 2, 3, 4, 5], { disks, entriesPerAppend: 1 });
  cluster.cut(5);
  cluster.campaign(1);
  const leader = cluster.node(1);
  while (leader.core.matchIndexes()?.get(actorId(3)) !== 2) {
    cluster.deliver();
    for (const node of cluster.nodes.values()) {
      const isNoop = node.self === 1 && leader.core.role === 'leader';
      if (node.writeUnderWay !== undefined && !isNoop) cluster.persist(node.self);
    }
  }
  assert.ok((leader.core.matchIndexes()?.get(actorId(2)) ?? 0) >= 2);
  assert.equal(leader.core.durableIndex, 2);
  assert.equal(leader.core.commitIndex, 0, 'three of five hold entry 2, and it may still be overwritten by server 5');
  cluster.settle();
  assert.equal(leader.core.commitIndex, 3, 'with the no-op of term 4, everything before it is committed');
});

test('§3.6.2 figure 3.7 (d): until then another leader may overwrite it on all', () => {
  const disks = {
    1: { terms: [1, 2], term: 4 },
    2: { terms: [1, 2], term: 4 },
    3: { terms: [1, 2], term: 4 },
    4: { terms: [1], term: 3 },
    5: { terms: [1, 3], term: 3 },
  };
  const cluster = new Cluster([1, 2, 3, 4, 5], { disks });
  cluster.campaign(5);
  cluster.settle();
  cluster.campaign(5);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [5]);
  for (const actor of [1, 2, 3, 4]) assert.deepEqual(cluster.node(actor).entries, cluster.node(5).entries);
});

test('§3.8 a follower acknowledges entries only after they are durable', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.propose(1, 'a');
  cluster.deliver(1, 2);
  assert.deepEqual(cluster.sentBy(2, 'append-result'), []);
  cluster.persist(2);
  assert.deepEqual(
    cluster.sentBy(2, 'append-result').map(({ index }) => index),
    [2],
  );
});

test("§3.8, §10.2.1 the leader's own copy counts only when it is durable; others may commit without it", () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.propose(1, 'a');
  cluster.deliver(1, 2);
  cluster.persist(2);
  cluster.deliver(2, 1);
  assert.equal(cluster.node(1).core.commitIndex, 1, "one follower and the leader's memory are no majority");
  cluster.deliver(1, 3);
  cluster.persist(3);
  cluster.deliver(3, 1);
  assert.equal(cluster.node(1).core.commitIndex, 2, 'two followers are');
  assert.equal(cluster.node(1).core.durableIndex, 1);
});

test('§3.8 what was acknowledged is found again after a crash, what was not may be gone', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  cluster.propose(1, 'kept');
  cluster.settle();
  cluster.propose(1, 'lost');
  cluster.deliver(1, 2);
  cluster.deliver(1, 3);
  for (const actor of [1, 2, 3]) {
    const disk = cluster.crash(actor);
    assert.deepEqual(
      disk.entries.map(({ data }) => data),
      ['no-op', 'kept'],
    );
  }
});

test('§3.8 an acknowledgement that waits for its term to be durable dies with an entry that is cut off', () => {
  const cluster = new Cluster([1, 2, 3], { disks: { 1: { terms: [1, 1, 1] } } });
  cluster.inject(2, 1, ...append(2, [1, 1, 1], 4, 3));
  cluster.inject(3, 1, ...append(3, [1, 3], 2, 2));
  while (cluster.node(1).writeUnderWay !== undefined) cluster.persist(1);
  assert.deepEqual(
    cluster.sentBy(1, 'append-result').map(({ term: answerTerm, index }) => [answerTerm, index]),
    [
      [3, 1],
      [3, 2],
    ],
  );
});

test('§3.5 entries are pipelined: more follow before the first are acknowledged, within the window', () => {
  const cluster = new Cluster([1, 2, 3], {
    entriesPerAppend: 1,
    settings: { ...SETTINGS, replicationWindow: { bytes: 300, messages: 16 } },
  });
  cluster.elect(1);
  for (const data of ['a', 'b', 'c', 'd', 'e']) cluster.propose(1, data);
  assert.equal(cluster.inFlight.filter(({ to, message }) => to === 2 && message.type === 'append').length, 3);
  cluster.settle();
  assert.equal(cluster.node(2).core.commitIndex, 6);
});

test('§3.5 lost appends are sent again, whichever of them is lost', () => {
  for (const lost of [0, 1, 2]) {
    const cluster = new Cluster([1, 2, 3], { entriesPerAppend: 1 });
    cluster.elect(1);
    for (const data of ['a', 'b', 'c']) cluster.propose(1, data);
    const appends = cluster.inFlight.filter(({ to }) => to === 2);
    cluster.inFlight = cluster.inFlight.filter((packet) => packet !== appends[lost]);
    cluster.settle();
    for (let beat = 0; beat < 12; beat++) {
      cluster.tick(100, 1);
      cluster.settle();
    }
    assert.equal(cluster.node(2).core.commitIndex, 4, `append ${lost} was lost`);
  }
});

test('§4.3 joint: a commit needs a majority of both configurations', () => {
  const cluster = new Cluster([1, 2, 3], { outgoing: [4, 5, 6] });
  cluster.win(1);
  for (const actor of [4, 5]) cluster.cut(actor);
  cluster.settle();
  assert.equal(cluster.node(1).core.commitIndex, 0, 'all of the new half and one of the old');
  cluster.heal();
  for (let beat = 0; beat < 12; beat++) {
    cluster.tick(100, 1);
    cluster.settle();
  }
  assert.equal(cluster.node(1).core.commitIndex, 2);
  assert.equal(cluster.logOf(1), '1:no-op 1:1,2,3', 'and then the leader leaves the joint configuration');
});

test('§4.2.1 a learner gets the log and its copy counts for nothing', () => {
  const cluster = new Cluster([1, 2], { learners: [3] });
  cluster.win(1);
  cluster.cut(2);
  cluster.propose(1, 'a');
  cluster.settle();
  assert.equal(cluster.logOf(3), '1:no-op 1:a');
  assert.equal(cluster.node(1).core.commitIndex, 0);
});

test('§4.1 a server uses the latest configuration in its log, and the one before when that is truncated', () => {
  const first = { voters: [1, 2, 3].map(actorId), outgoing: [], learners: [] };
  const second = { voters: [1, 2, 3, 4].map(actorId), outgoing: first.voters, learners: [] };
  const core = new RaftCore({
    self: actorId(1),
    settings: SETTINGS,
    random: () => 0,
    nowMs: 0,
    hardState: { term: term(1), vote: undefined },
    begin: { index: logIndex(0), term: term(0) },
    termStarts: [],
    lastIndex: logIndex(0),
    configurations: [{ index: logIndex(0), configuration: first }],
    commitIndex: logIndex(0),
  });
  const [plain] = append(1, [1, 1], 1, 2);
  const configured = plain.entries.map((entry) => (entry.index === 2 ? { ...entry, configuration: second } : entry));
  core.step(actorId(2), { ...plain, entries: configured }, 0);
  assert.deepEqual(core.configuration, second);
  core.step(actorId(3), append(2, [1, 2], 2, 2)[0], 0);
  assert.deepEqual(core.configuration, first);
});

test('an answer to a stale append is no refusal in the present term', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  for (const data of ['a', 'b']) cluster.propose(1, data);
  cluster.settle();
  cluster.propose(1, 'c');
  const stale = cluster.inFlight.find(({ to, message }) => to === 2 && message.type === 'append');
  assert.ok(stale !== undefined);
  cluster.drop();
  cluster.start(actorId(1), cluster.crash(1));
  cluster.tick(1000);
  cluster.drop();
  cluster.campaign(1);
  while (cluster.node(1).core.role !== 'leader') {
    cluster.deliver();
    for (const node of cluster.nodes.values()) if (node.writeUnderWay !== undefined) cluster.persist(node.self);
  }
  const begins: number[] = [];
  cluster.onSent = ({ message }) => {
    if (message.type === 'append') begins.push(message.previousIndex);
  };
  // Node 2 learns of term 2, then gets the append of term 1, whose predecessor is that of the probe which is under way.
  cluster.deliver(1, 2);
  cluster.inject(1, 2, stale.message, stale.entries);
  cluster.deliver(2, 1);
  cluster.settle();
  assert.deepEqual(
    begins.filter((previousIndex) => previousIndex < 3),
    [],
    'nothing that the followers have is sent again',
  );
});

test('two leaders of one term, or a leader that contradicts what is committed, end the process', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  assert.throws(
    () =>
      cluster.inject(2, 1, { type: 'heartbeat', term: term(1), commitIndex: logIndex(0), round: 1, quiesce: false }),
    /two leaders in term 1/,
  );
  assert.throws(() => cluster.inject(1, 2, ...append(2, [2], 1, 1)), /committed/);
  assert.throws(
    () =>
      cluster.inject(1, 3, { type: 'heartbeat', term: term(1), commitIndex: logIndex(9), round: 1, quiesce: false }),
    /acknowledged here/,
  );
});
