/** What a leader gives up, stamps and sets right where clocks are days off. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchesOf, type LogRecord } from '../../src/wire/index.js';
import { batch, StreamCluster } from '../support/stream-cluster.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MAX_AGE_MS = 60_000;

/** Node 1 leads, and all have ten events that are as old as nothing. */
async function filled(actors: readonly number[] = [1, 2, 3]): Promise<StreamCluster> {
  const cluster = new StreamCluster(actors);
  await cluster.elect(1);
  for (let event = 0; event < 10; event++) await produce(cluster);
  const changed = cluster.stream(1).changeSettings({ maxAgeMs: MAX_AGE_MS });
  await cluster.commitIsKnown();
  await changed;
  return cluster;
}

async function produce(cluster: StreamCluster, leader = 1): Promise<void> {
  const produced = cluster.stream(leader).submit(batch(1));
  await cluster.commitIsKnown();
  await produced;
}

function setClock(cluster: StreamCluster, actor: number, offsetMs: number): void {
  cluster.server(actor).clock.utcOffsetMs = offsetMs;
}

/** Some time, in which the leader compares the clocks every now and then. */
async function advance(cluster: StreamCluster, ms: number, leader = 1): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1000) {
    await cluster.advance(1000);
    cluster.stream(leader).group.onClocks();
    await cluster.settle();
  }
}

async function lastRecord(cluster: StreamCluster, kind: LogRecord['kind'], actor = 1): Promise<LogRecord> {
  const records = await cluster.recordsOf(actor, cluster.stream(actor).group.commitIndex);
  return records.findLast((record) => record.kind === kind) ?? assert.fail(`there is no ${kind} record`);
}

const firsts = (cluster: StreamCluster): number[] =>
  [...cluster.servers.values()].map(({ stream }) => stream.state.first.firstCounter);

test('a leader whose clock is 30 days ahead gives up nothing, and what it stamps is no younger for it', async () => {
  const cluster = await filled();
  setClock(cluster, 1, 30 * DAY_MS);
  await produce(cluster);
  await advance(cluster, 5000);
  assert.deepEqual(firsts(cluster), [1, 1, 1]);
  const record = await lastRecord(cluster, 'events');
  const trueMs = cluster.server(2).clock.utcMs();
  for (const timeMs of [record.timeMs, ...batchesOf(record).map(({ header }) => header.timestampMs)])
    assert.ok(Math.abs(timeMs - trueMs) < 60_000, `${timeMs - trueMs}`);
  await advance(cluster, MAX_AGE_MS + 5000);
  assert.deepEqual(firsts(cluster), [12, 12, 12], 'and it gives up what is too old by the time of the others');
});

test('a leader whose clock is 30 days behind makes nothing old that it appends', async () => {
  const cluster = await filled();
  setClock(cluster, 1, -30 * DAY_MS);
  await advance(cluster, MAX_AGE_MS - 10_000);
  await produce(cluster);
  setClock(cluster, 1, 0);
  await advance(cluster, 20_000);
  assert.deepEqual(firsts(cluster), [11, 11, 11]);
});

test('with the third node away, two clocks 30 days apart give up nothing; log time is set back later', async () => {
  const cluster = await filled();
  cluster.crash(3);
  setClock(cluster, 2, 30 * DAY_MS);
  await produce(cluster);
  await advance(cluster, 5000);
  assert.deepEqual(firsts(cluster), [1, 1]);
  assert.ok(
    cluster.stream(1).state.timeMs > cluster.server(1).clock.utcMs() + 29 * DAY_MS,
    'what nobody knows counts as late',
  );

  cluster.start(3);
  await cluster.commitIsKnown();
  await advance(cluster, MAX_AGE_MS - 10_000);
  assert.ok(cluster.stream(1).state.timeMs > cluster.server(1).clock.utcMs() + 29 * DAY_MS, 'not at once');
  await advance(cluster, 20_000);
  const setBack = await lastRecord(cluster, 'log-time');
  assert.ok(Math.abs(setBack.timeMs - cluster.server(3).clock.utcMs()) < 30_000);
  await advance(cluster, MAX_AGE_MS + 10_000);
  assert.deepEqual(firsts(cluster), [12, 12, 12], 'nothing stalls');
});

test('a leader that can ask nobody for the time keeps a batch until it can', async () => {
  const cluster = await filled();
  cluster.unasked.add(2).add(3);
  const produced = cluster.stream(1).submit(batch(1));
  await cluster.advance(1000);
  assert.equal(cluster.stream(1).state.nextCounter, 11);
  cluster.unasked.clear();
  cluster.stream(1).group.onClocks();
  await cluster.commitIsKnown();
  assert.equal((await produced).firstCounter, 11);
});

test('the clock of a cluster of one leaps 30 days ahead and back: it gives up nothing young, and goes on', async () => {
  const cluster = await filled([1]);
  cluster.steadyMs = 0;
  setClock(cluster, 1, 30 * DAY_MS);
  await produce(cluster);
  await advance(cluster, MAX_AGE_MS - 10_000);
  assert.deepEqual(firsts(cluster), [1]);
  setClock(cluster, 1, 0);
  await produce(cluster);
  await advance(cluster, 10_000);
  assert.deepEqual(firsts(cluster), [1]);
  cluster.steadyMs = Number.POSITIVE_INFINITY;
  await advance(cluster, 2 * MAX_AGE_MS + 20_000);
  assert.deepEqual(firsts(cluster), [13]);
});

test('clocks that are behind for a while do not set log time back, and make nothing look older', async () => {
  const cluster = await filled();
  for (const actor of [1, 2, 3]) setClock(cluster, actor, -365 * DAY_MS);
  await advance(cluster, MAX_AGE_MS - 10_000);
  await produce(cluster);
  for (const actor of [1, 2, 3]) setClock(cluster, actor, 0);
  await advance(cluster, 5000);
  assert.deepEqual(firsts(cluster), [1, 1, 1]);
});

test('one time that lies weeks ahead makes no producer forgotten', async () => {
  const cluster = await filled([1]);
  const opened = cluster.stream(1).openProducer('anna');
  await cluster.commitIsKnown();
  const { id } = await opened;
  setClock(cluster, 1, 30 * DAY_MS);
  await produce(cluster);
  assert.equal(cluster.stream(1).state.producers.get(id)?.name, 'anna');
});
