import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, groupId, logIndex, term } from '../../src/base/index.js';
import { NO_PRODUCER } from '../../src/event/index.js';
import { HostCluster, hosted, SETTINGS } from '../support/host-cluster.js';
import { batch, fateOf } from '../support/stream-cluster.js';

const GROUPS = 20;

/** All groups have a leader, and have quiesced. */
async function quiesced(groups = GROUPS): Promise<HostCluster> {
  const cluster = new HostCluster(groups);
  await cluster.advanceUntil('every group has a leader', 5000, () => cluster.allLed);
  await cluster.advanceUntil('every group has quiesced', 1000, () => cluster.allQuiet);
  return cluster;
}

test('each group elects, takes writes and commits by itself', async () => {
  const cluster = await quiesced();
  const fates = cluster.groups.map((group) => fateOf(cluster.stream(1 + (group % 3), group).submit(batch())));
  await cluster.settle();
  await cluster.advance(100);
  assert.deepEqual(
    fates.map(({ value }) => value?.firstCounter),
    cluster.groups.map(() => 1),
  );
  for (const group of cluster.groups) assert.equal(cluster.stream(1, group).group.commitIndex, 2);
});

test('a message of a group that is not here is dropped and counted; a batch for one was not proposed', async () => {
  const cluster = await quiesced(2);
  const { host, streams, unknownGroups } = cluster.node(1);
  host.onMessage(actorId(2), groupId(99), { type: 'timeout-now', term: term(1) }, []);
  assert.deepEqual(unknownGroups, [99]);
  await assert.rejects(streams.onForward(actorId(2), groupId(99), batch(), NO_PRODUCER), { code: 'NOT_LEADER' });
});

test('however many groups have quiesced, a node has one timer, and says only that it is up', async () => {
  const cluster = await quiesced();
  cluster.said = [];
  await cluster.advance(10_000);
  assert.ok(cluster.allQuiet);
  for (const { clock } of cluster.nodes.values()) assert.equal(clock.timers, 1);
  assert.deepEqual(
    cluster.said.filter(({ what }) => what !== undefined),
    [],
    'not one message of a group',
  );
  const perSecond = cluster.said.length / 10;
  const pairs = 6;
  assert.ok(
    perSecond <= pairs * Math.ceil(3000 / SETTINGS.electionTimeoutMs),
    `${perSecond} heartbeats of nodes a second`,
  );
});

test('a node says that it is up only to nodes with replicas of its quiesced groups', async () => {
  const cluster = await quiesced(1);
  const [leader] = cluster.leaders();
  cluster.said = [];
  await cluster.advance(1000);
  assert.ok(cluster.said.length > 0);
  for (const { from, to } of cluster.said)
    assert.ok(from === leader || to === leader, `${from} to ${to}, and ${leader} leads`);
});

test('groups that are awake send their heartbeats at the same moments', async () => {
  const cluster = await quiesced();
  // One of three is gone, which keeps all leaders awake.
  cluster.crash(3, 'refused');
  await cluster.advanceUntil('every group has a leader', 2000, () => cluster.allLed);
  await cluster.advance(200);
  const moments = new Set<number>();
  for (let passed = 0; passed < 100; passed += 10) {
    cluster.said = [];
    await cluster.advance(10);
    if (cluster.said.some(({ what }) => what?.message.type === 'heartbeat')) moments.add(passed);
  }
  assert.equal(moments.size, 1, [...moments].join(', '));
});

test('all groups that a killed node led have another leader within 200 ms', async (context) => {
  const cluster = await quiesced();
  await cluster.advance(60_000);
  const lost = cluster.leaders()[0] ?? 1;
  cluster.crash(lost, 'refused');
  const tookMs = await cluster.advanceUntil('every group has a leader', 2000, () => cluster.allLed);
  context.diagnostic(`${tookMs} ms`);
  assert.ok(tookMs <= 200, `${tookMs} ms`);
});

test('a node that vanishes is missed after an election time-out, and replaced within two', async (context) => {
  const cluster = await quiesced();
  await cluster.advance(60_000);
  const lost = cluster.leaders()[0] ?? 1;
  cluster.crash(lost, 'none');
  const tookMs = await cluster.advanceUntil('every group has a leader', 4000, () => cluster.allLed);
  context.diagnostic(`${tookMs} ms`);
  assert.ok(tookMs >= SETTINGS.electionTimeoutMs / 2 && tookMs <= 2.2 * SETTINGS.electionTimeoutMs, `${tookMs} ms`);
});

test('a node that is cut off leads nothing soon after an election time-out', async () => {
  const cluster = await quiesced();
  const lost = cluster.leaders()[0] ?? actorId(1);
  const group = cluster.leaders().indexOf(lost) + 1;
  cluster.cut.add(lost);
  await cluster.advance(SETTINGS.electionTimeoutMs + 2 * SETTINGS.heartbeatIntervalMs);
  assert.notEqual(cluster.stream(lost, group).group.role, 'leader');
  await assert.rejects(cluster.stream(lost, group).submit(batch()), { code: 'NO_LEADER' });
});

test('a node that comes back is caught up by quiesced groups, and quiesces with them; no leader changes', async () => {
  const cluster = await quiesced();
  const leaders = cluster.leaders();
  const away = [1, 2, 3].find((actor) => leaders[0] !== actor) ?? 1;
  cluster.crash(away, 'refused');
  await cluster.advanceUntil('every group has a leader', 2000, () => cluster.allLed);
  const group = 1;
  const written = fateOf(cluster.stream(Number(leaders[0]), group).submit(batch()));
  await cluster.settle();
  assert.equal(written.state, 'resolved');
  const before = cluster.leaders();
  cluster.start(away);
  await cluster.advanceUntil('every group has quiesced', 3000, () => cluster.allQuiet);
  assert.deepEqual(cluster.leaders(), before);
  assert.equal(
    cluster.stream(away, group).group.tail.index,
    cluster.stream(Number(leaders[0]), group).group.tail.index,
  );
});

test('a consistent read of a quiesced group asks a majority', async () => {
  const cluster = await quiesced();
  const leader = Number(cluster.leaders()[0]);
  cluster.said = [];
  const read = fateOf(cluster.stream(leader, 1).group.confirmReadIndex());
  assert.equal(read.state, 'pending');
  await cluster.settle();
  assert.deepEqual(read.value, logIndex(1));
  assert.ok(cluster.said.some(({ what }) => what?.message.type === 'heartbeat-result'));
});

test('a stopping node hands over all that it leads at once', async () => {
  const cluster = await quiesced();
  const leaving = cluster.leaders()[0] ?? actorId(1);
  const over = fateOf(Promise.all([...cluster.node(leaving).host.all].map((group) => group.handOver(1000))));
  await cluster.settle();
  assert.equal(over.state, 'resolved', 'without any time passing');
  await cluster.advance(20);
  assert.ok(cluster.leaders().every((leader) => leader !== undefined && leader !== leaving));
});

test('a stopped host leaves no timer behind', async () => {
  const cluster = await quiesced(3);
  const { host, clock } = cluster.node(1);
  host.stop();
  assert.equal(clock.timers, 0);
});

test('a group that is added later takes part at once, over the links that stand', async () => {
  const cluster = new HostCluster(1, { stored: 1 });
  await cluster.advanceUntil('the group has a leader', 5000, () => cluster.allLed);
  const streams = [...cluster.nodes.values()].map(({ streams }) => streams.add(hosted(groupId(2))));
  await cluster.advanceUntil('the new one, too', 5000, () => streams.some(({ group }) => group.role === 'leader'));
  const leader = streams.find(({ group }) => group.role === 'leader');
  const written = fateOf(leader?.submit(batch()) ?? Promise.reject(new Error('nobody leads')));
  await cluster.settle();
  assert.equal(written.state, 'resolved');
  for (const { fatal } of cluster.nodes.values()) assert.deepEqual(fatal, []);
});
