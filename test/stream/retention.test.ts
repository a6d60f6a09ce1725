import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SettingsChanges } from '../../src/machine/stream/index.js';
import { batch, fateOf, StreamCluster } from '../support/stream-cluster.js';

/** Node 1 leads, and all have ten events, one a record. */
async function filled(settings?: SettingsChanges): Promise<StreamCluster> {
  const cluster = new StreamCluster([1, 2, 3]);
  await cluster.elect(1);
  for (let event = 0; event < 10; event++) await produce(cluster);
  if (settings !== undefined) await set(cluster, settings);
  return cluster;
}

async function produce(cluster: StreamCluster, count = 1): Promise<void> {
  const produced = cluster.stream(1).submit(batch(count));
  await cluster.commitIsKnown();
  await produced;
}

async function set(cluster: StreamCluster, settings: SettingsChanges): Promise<void> {
  const changed = cluster.stream(1).changeSettings(settings);
  await cluster.commitIsKnown();
  await changed;
}

/** The first event that each node delivers. */
const firsts = (cluster: StreamCluster): number[] =>
  [1, 2, 3].map((actor) => cluster.stream(actor).state.first.firstCounter);

test('settings are in force on all nodes at the same record', async () => {
  const cluster = await filled({ maxEvents: 100 });
  for (const actor of [1, 2, 3]) assert.deepEqual(cluster.stream(actor).state.settings, { maxEvents: 100 });
  await cluster.advance(2000);
  assert.deepEqual(firsts(cluster), [1, 1, 1]);
});

test('two clients that change settings at once both do', async () => {
  const cluster = await filled({ maxEvents: 100 });
  const stream = cluster.stream(1);
  const both = [stream.changeSettings({ maxBytes: 5000 }), stream.changeSettings({ maxEvents: 0, maxAgeMs: 60_000 })];
  await cluster.commitIsKnown();
  await Promise.all(both);
  for (const actor of [1, 2, 3])
    assert.deepEqual(cluster.stream(actor).state.settings, { maxBytes: 5000, maxAgeMs: 60_000 });
});

test('a bound on the count keeps exactly the latest events on all nodes, and drops what is below', async () => {
  const cluster = await filled({ maxEvents: 4 });
  await cluster.advance(1100);
  assert.deepEqual(firsts(cluster), [7, 7, 7]);
  await produce(cluster, 3);
  await cluster.advance(1100);
  // In the middle of nothing: the batch of three is kept whole, and one event before it.
  assert.deepEqual(firsts(cluster), [10, 10, 10]);
  for (const actor of [1, 2, 3]) assert.equal(cluster.stream(actor).group.begin.nextCounter, 10);
});

test('a bound on the count begins in the middle of a batch', async () => {
  const cluster = await filled();
  await produce(cluster, 6);
  await set(cluster, { maxEvents: 2 });
  await cluster.advance(1100);
  assert.deepEqual(firsts(cluster), [15, 15, 15]);
  assert.equal(cluster.stream(2).group.begin.nextCounter, 11, 'the record that holds the batch stays');
});

test('a bound on bytes keeps the latest records that fit', async () => {
  const cluster = await filled();
  const records = await cluster.recordsOf(1, cluster.stream(1).group.commitIndex);
  const bytes = records.filter(({ kind }) => kind === 'events').map((record) => record.bytes.byteLength);
  await set(cluster, { maxBytes: bytes.slice(-3).reduce((sum, each) => sum + each, 0) });
  await cluster.advance(1100);
  assert.deepEqual(firsts(cluster), [8, 8, 8]);
  await cluster.advance(5000);
  assert.deepEqual(firsts(cluster), [8, 8, 8], 'what says so does not count');
});

test('a bound on age takes everything away in a group in which nothing happens', async () => {
  const cluster = await filled({ maxAgeMs: 30_000 });
  await cluster.advance(3000);
  assert.deepEqual(firsts(cluster), [1, 1, 1]);
  const { tail } = cluster.stream(1).group;
  assert.equal(tail.index, cluster.stream(1).group.commitIndex);
  await cluster.advance(29_000);
  assert.deepEqual(firsts(cluster), [11, 11, 11]);
  await produce(cluster);
  assert.deepEqual(await cluster.eventsOf(2), ['11.1'], 'counters go on');
});

test('a confirmed read waits until the begin is in force here', async () => {
  const cluster = await filled();
  // Node 3 knows that the begin is committed before its disk holds it.
  const { storage } = cluster.server(3);
  storage.held = true;
  await set(cluster, { maxEvents: 4 });
  await cluster.advance(1100);
  assert.equal(cluster.stream(3).group.commitIndex, cluster.stream(1).group.commitIndex);
  assert.deepEqual(firsts(cluster), [7, 7, 1]);
  const confirmed = fateOf(cluster.stream(3).group.confirmReadIndex());
  await cluster.settle();
  assert.equal(confirmed.state, 'pending');
  storage.release();
  await cluster.settle();
  assert.equal(confirmed.state, 'resolved');
  assert.deepEqual(firsts(cluster), [7, 7, 7]);
});

test('where there is nothing to remove, nothing is proposed', async () => {
  const cluster = await filled({ maxEvents: 10, maxBytes: 1_000_000, maxAgeMs: 1_000_000 });
  const { index } = cluster.stream(1).group.tail;
  await cluster.advance(5000);
  assert.equal(cluster.stream(1).group.tail.index, index);
});

test('another node than the leader refuses to change the settings', async () => {
  const cluster = await filled();
  const refused = fateOf(cluster.stream(2).changeSettings({ maxEvents: 1 }));
  await cluster.settle();
  assert.equal(refused.code, 'NOT_LEADER');
});

test('a restarted node has the settings and the begin', async () => {
  const cluster = await filled({ maxEvents: 4 });
  await cluster.advance(1100);
  cluster.crash(3);
  cluster.start(3);
  await cluster.commitIsKnown();
  await cluster.advance(200);
  assert.deepEqual(cluster.stream(3).state.settings, { maxEvents: 4 });
  assert.deepEqual(firsts(cluster), [7, 7, 7]);
});
