/**
 * What a producer is told: certainly not proposed, committed, or unknown; never a failure that may have been a success.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { LIMITS, term } from '../../src/base/index.js';
import type { Proposed } from '../../src/machine/index.js';
import { batch, type Fate, fateOf, StreamCluster } from '../support/stream-cluster.js';

async function elected(leader = 1): Promise<StreamCluster> {
  const cluster = new StreamCluster();
  await cluster.elect(leader);
  return cluster;
}

/** Cuts the leader off, lets another be elected, and lets the old one notice. */
async function replaceLeader(cluster: StreamCluster, old: number, next: number): Promise<void> {
  cluster.cut(old);
  await cluster.elect(next);
  cluster.heal(old);
  await cluster.advance(200);
}

/** Node 1 hears of a later term: it no longer leads, and knows no leader. */
function depose(cluster: StreamCluster): void {
  const { term: current, tail } = cluster.stream(1).group;
  const vote = {
    type: 'vote-request',
    lastIndex: tail.index,
    lastTerm: current,
    preVote: false,
    leadershipTransfer: true,
  } as const;
  cluster.stream(1).group.onMessage(cluster.server(2).actor, { ...vote, term: term(current + 1) }, []);
}

test('a leadership that is lost before the proposal is NOT_LEADER', async () => {
  const cluster = await elected();
  cluster.server(1).storage.held = true;
  // Taken in, and leadership is lost in the same turn, before it enters the log.
  const fate = fateOf(cluster.stream(1).submit(batch()));
  depose(cluster);
  await cluster.settle();
  assert.equal(fate.code, 'NOT_LEADER');
});

/** Node 1 is handing over to node 2, and does not yet know that this one leads. */
async function handingOver(): Promise<StreamCluster> {
  const cluster = await elected();
  void cluster.stream(1).group.handOver(1000, cluster.server(2).actor);
  return cluster;
}

test('while the successor is not known a producer waits, but not for others', async () => {
  const cluster = await handingOver();
  const before = fateOf(cluster.stream(1).submit(batch(1)));
  const forOther = fateOf(cluster.stream(1).proposeFor(cluster.server(3).actor, batch()));
  depose(cluster);
  const between = fateOf(cluster.stream(1).submit(batch(2)));
  const lateForOther = fateOf(cluster.stream(1).proposeFor(cluster.server(3).actor, batch()));
  await cluster.elect(2);
  await cluster.settle();
  assert.deepEqual([before.value?.firstCounter, between.value?.firstCounter], [1, 2]);
  assert.deepEqual([forOther.code, lateForOther.code], ['NOT_LEADER', 'NOT_LEADER'], 'they were passed on once');
  assert.deepEqual(await cluster.eventsOf(2), ['1.1', '2.1', '3.1']);
});

test('what waits is refused where no successor shows in time, and what comes then at once', async () => {
  const cluster = await handingOver();
  const fate = fateOf(cluster.stream(1).submit(batch()));
  depose(cluster);
  cluster.cut(1);
  await cluster.advance(LIMITS.outcomeWaitMs - 100, 1);
  assert.equal(fate.state, 'pending');
  await cluster.advance(200, 1);
  assert.equal(fate.code, 'NOT_LEADER');
  const late = fateOf(cluster.stream(1).submit(batch()));
  await cluster.settle();
  assert.equal(late.code, 'NO_LEADER');
});

test('what waits behind an open batch is refused, because it would overtake that', async () => {
  const cluster = await elected();
  cluster.cut(1);
  const first = fateOf(cluster.stream(1).submit(batch()));
  cluster.server(1).clock.runSoon();
  void cluster.stream(1).group.handOver(1000, cluster.server(2).actor);
  const second = fateOf(cluster.stream(1).submit(batch()));
  depose(cluster);
  await cluster.settle();
  assert.equal(second.code, 'NOT_LEADER');
  await cluster.elect(2);
  cluster.heal(1);
  const other = fateOf(cluster.stream(2).submit(batch()));
  await cluster.advance(200);
  assert.equal(other.state, 'resolved');
  assert.equal(first.code, 'NOT_LEADER');
  assert.deepEqual(await cluster.eventsOf(1), ['1.2']);
});

test('a node that stops puts nothing into its log because no other took leadership over', async () => {
  const cluster = await elected();
  cluster.cut(2);
  cluster.stream(1).group.leave();
  void cluster.stream(1).group.handOver(5000, cluster.server(2).actor);
  const fate = fateOf(cluster.stream(1).submit(batch()));
  const { tail } = cluster.stream(1).group;
  await cluster.advance(1100, 1, 3);
  assert.equal(fate.code, 'SHUTTING_DOWN');
  assert.equal(cluster.stream(1).group.tail.index, tail.index);
});

test('while leadership is handed over batches wait, and go to the successor in their order', async () => {
  const cluster = await elected();
  const before = fateOf(cluster.stream(1).submit(batch(1)));
  cluster.server(1).clock.runSoon();
  void cluster.stream(1).group.handOver(1000, cluster.server(2).actor);
  const during = [2, 3].map((count) => fateOf(cluster.stream(1).submit(batch(count))));
  await cluster.settle();
  assert.equal(cluster.stream(2).group.role, 'leader');
  assert.deepEqual(
    [before, ...during].map(({ value }) => [value?.firstCounter, value?.actor, value?.term]),
    [
      [1, 1, cluster.stream(2).group.term - 1],
      [2, 1, cluster.stream(2).group.term],
      [4, 1, cluster.stream(2).group.term],
    ],
  );
});

test('a leader that is removed leaves no caller waiting for a successor that it never hears of', async () => {
  const cluster = await elected();
  const fates: Fate<Proposed>[] = [];
  const removed = fateOf(cluster.stream(1).group.changeMembers([{ actor: cluster.server(1).actor, to: 'removed' }]));
  for (let turns = 0; cluster.stream(1).group.role === 'leader' && turns < 200; turns++) {
    fates.push(fateOf(cluster.stream(1).submit(batch())));
    cluster.deliver();
    for (const { clock } of cluster.servers.values()) clock.runSoon();
    await turn();
  }
  await cluster.settle();
  assert.equal(removed.state, 'resolved');
  assert.deepEqual(new Set(fates.map(({ state, code }) => code ?? state)), new Set(['resolved', 'NOT_LEADER']));
});

test('where no node takes leadership over, what waited goes into the log after all', async () => {
  const cluster = await elected();
  cluster.cut(2);
  void cluster.stream(1).group.handOver(5000, cluster.server(2).actor);
  const fate = fateOf(cluster.stream(1).submit(batch()));
  await cluster.settle();
  assert.equal(fate.state, 'pending');
  await cluster.advance(1100, 1, 3);
  assert.equal(cluster.stream(1).group.role, 'leader');
  assert.equal(fate.state, 'resolved');
});

test('a node that knows no leader says so, and a follower passes nothing on twice', async () => {
  const cluster = new StreamCluster();
  const early = fateOf(cluster.stream(1).submit(batch()));
  await cluster.elect(1);
  const misled = fateOf(cluster.stream(2).proposeFor(cluster.server(3).actor, batch()));
  await cluster.settle();
  assert.equal(early.code, 'NO_LEADER');
  assert.equal(misled.code, 'NOT_LEADER');
});

test('after the proposal a batch resolves when the next leader commits it', async () => {
  const cluster = await elected();
  const fate = fateOf(cluster.stream(1).submit(batch()));
  cluster.server(1).clock.runSoon();
  // It reaches the followers, but their answers do not come back.
  cluster.deliver();
  cluster.cut(1);
  await cluster.elect(2);
  assert.equal(fate.state, 'pending');
  cluster.heal(1);
  await cluster.advance(200);
  assert.equal(fate.state, 'resolved');
  assert.deepEqual(await cluster.eventsOf(3), ['1.1']);
});

test('after the proposal a batch is NOT_LEADER when another entry took its place', async () => {
  const cluster = await elected();
  cluster.cut(1);
  const fate = fateOf(cluster.stream(1).submit(batch()));
  await cluster.settle();
  await cluster.elect(2);
  const other = fateOf(cluster.stream(2).submit(batch()));
  await cluster.settle();
  assert.equal(other.state, 'resolved');
  assert.equal(fate.state, 'pending');
  cluster.heal(1);
  await cluster.advance(200);
  assert.equal(fate.code, 'NOT_LEADER');
  assert.deepEqual(await cluster.eventsOf(1), ['1.2']);
});

test('after the proposal the outcome is unknown when its fate does not show in time', async () => {
  const cluster = await elected();
  cluster.cut(1);
  const fate = fateOf(cluster.stream(1).submit(batch()));
  await cluster.advance(1200, 1);
  assert.notEqual(cluster.stream(1).group.role, 'leader');
  assert.equal(fate.state, 'pending');
  await cluster.advance(LIMITS.outcomeWaitMs + 100, 1);
  assert.equal(fate.code, 'OUTCOME_UNKNOWN');
  assert.equal(cluster.server(1).observed.unknown, 1);
});

test('a minority refuses writes that come later than an election time-out after the loss', async () => {
  const cluster = await elected();
  cluster.crash(2);
  cluster.crash(3);
  await cluster.advance(1200);
  const fate = fateOf(cluster.stream(1).submit(batch()));
  await cluster.settle();
  assert.equal(fate.code, 'NO_LEADER');
});

test('a forwarded batch that is committed but not yet served here is unknown when this node stops', async () => {
  const cluster = await elected();
  const fate = fateOf(cluster.stream(3).submit(batch()));
  cluster.server(1).clock.runSoon();
  cluster.inFlight = cluster.inFlight.filter(({ to }) => to !== 3);
  await cluster.settle();
  assert.equal(fate.state, 'pending');
  assert.deepEqual(await cluster.eventsOf(1), ['1.3']);
  cluster.stream(3).group.stop();
  await cluster.settle();
  assert.equal(fate.code, 'OUTCOME_UNKNOWN', 'to say that it was not proposed would invite a duplicate');
});

test('the queue is bounded in batches', async () => {
  const cluster = await elected();
  const body = batch();
  const fates = Array.from({ length: LIMITS.pendingProposals + 1 }, () => fateOf(cluster.stream(1).submit(body)));
  await cluster.settle();
  assert.equal(fates.at(-1)?.code, 'TOO_MANY_REQUESTS');
  assert.equal(fates.at(-2)?.state, 'resolved');
  const next = fateOf(cluster.stream(1).submit(body));
  await cluster.settle();
  assert.equal(next.state, 'resolved', 'what is settled frees capacity');
});

test('the queue is bounded in bytes, and what is in the log but not committed counts', async () => {
  const cluster = await elected();
  // The leader's own disk keeps up, and no other node's does.
  for (const actor of [2, 3]) cluster.server(actor).storage.held = true;
  const body = batch(1, 1024 * 1024);
  const fates = [];
  for (let sent = 0; sent < 70; sent++) {
    fates.push(fateOf(cluster.stream(1).submit(body)));
    await cluster.settle();
  }
  assert.equal(
    fates.filter(({ code }) => code === 'TOO_MANY_REQUESTS').length,
    70 - Math.floor(LIMITS.pendingProposalBytes / body.body.byteLength),
  );
  assert.equal(fates[0]?.state, 'pending');
  for (const actor of [2, 3]) cluster.server(actor).storage.release();
  await cluster.advance(100);
  assert.equal(fates[0]?.state, 'resolved');
  const next = fateOf(cluster.stream(1).submit(body));
  await cluster.settle();
  assert.equal(next.state, 'resolved');
});

test('a lost leadership gives the capacity back', async () => {
  const cluster = await elected();
  cluster.cut(1);
  const body = batch(1, 1024 * 1024);
  const fates = Array.from({ length: 70 }, () => fateOf(cluster.stream(1).submit(body)));
  await cluster.settle();
  assert.equal(fates.at(-1)?.code, 'TOO_MANY_REQUESTS');
  await cluster.elect(2);
  cluster.heal(1);
  await cluster.advance(200);
  assert.equal(fates[0]?.code, 'NOT_LEADER');
  await cluster.advance(LIMITS.outcomeWaitMs);
  assert.equal(fates[60]?.code, 'OUTCOME_UNKNOWN', 'nothing is committed at its index yet');
  await replaceLeader(cluster, 2, 1);
  const after = Array.from({ length: 60 }, () => fateOf(cluster.stream(1).submit(body)));
  await cluster.advance(100);
  assert.deepEqual(new Set(after.map(({ code, state }) => code ?? state)), new Set(['resolved']));
});
