/** What producers are told rests on committed records only, on whichever leader, and no batch goes in twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, logIndex } from '../../src/base/index.js';
import type { ProducerStamp } from '../../src/event/index.js';
import type { OpenedProducer } from '../../src/stream/index.js';
import { batch, type Fate, fateOf, StreamCluster } from '../support/stream-cluster.js';

async function elected(leader = 1): Promise<StreamCluster> {
  const cluster = new StreamCluster([1, 2, 3]);
  await cluster.elect(leader);
  return cluster;
}

async function opened(cluster: StreamCluster, at = 1, name = 'n'): Promise<OpenedProducer> {
  const fate = fateOf(cluster.stream(at).openProducer(name));
  await cluster.commitIsKnown();
  assert.ok(fate.value !== undefined, fate.code);
  return fate.value;
}

const stampOf = ({ id, epoch }: OpenedProducer, sequence: number): ProducerStamp => ({ producer: id, epoch, sequence });

type Told = Fate<{ firstCounter: number; actor: number }>;

async function submitted(
  cluster: StreamCluster,
  at: number,
  stamp: ProducerStamp,
  body = batch(stamp.sequence),
): Promise<Told> {
  const fate = fateOf(cluster.stream(at).submit(body, stamp));
  await cluster.commitIsKnown();
  return fate;
}

const place = ({ value, code }: Told): string =>
  value === undefined ? (code ?? 'pending') : `${value.firstCounter}.${value.actor}`;

test('a batch that is sent again has the ids of the first time, whoever takes it in, and is there once', async () => {
  const cluster = await elected();
  const producer = await opened(cluster);
  assert.equal(place(await submitted(cluster, 2, stampOf(producer, 1))), '1.2');
  assert.equal(place(await submitted(cluster, 1, stampOf(producer, 2))), '2.1');
  for (const at of [1, 2, 3])
    assert.equal(place(await submitted(cluster, at, stampOf(producer, 1))), '1.2', `at ${at}`);
  assert.deepEqual(await cluster.eventsOf(3), ['1.2', '2.1', '3.1']);
});

test('a producer without a name begins with its first batch, at any node, and has many under way', async () => {
  const cluster = new StreamCluster([1, 2, 3]);
  await cluster.elect(1);
  const stamp = (sequence: number): ProducerStamp => ({ producer: 77, epoch: 1, sequence, bornAfter: logIndex(0) });
  const first = [1, 2, 3].map((sequence) => fateOf(cluster.stream(2).submit(batch(sequence), stamp(sequence))));
  await cluster.commitIsKnown();
  assert.deepEqual(first.map(place), ['1.2', '2.2', '4.2']);
  for (const at of [1, 2, 3]) assert.equal(place(await submitted(cluster, at, stamp(2))), '2.2', `at ${at}`);
  cluster.cut(1);
  await cluster.elect(3);
  assert.equal(place(await submitted(cluster, 2, stamp(1))), '1.2');
  assert.equal(place(await submitted(cluster, 3, stamp(4), batch(1))), '7.3');
  assert.equal(place(await submitted(cluster, 3, { ...stamp(2), producer: 78 })), 'PRODUCER_EXPIRED');
});

test('under another leader, and after a restart of all, it is the same', async () => {
  const cluster = await elected();
  const producer = await opened(cluster);
  await submitted(cluster, 1, stampOf(producer, 1));
  cluster.cut(1);
  await cluster.elect(2);
  assert.equal(place(await submitted(cluster, 3, stampOf(producer, 1))), '1.1');
  assert.equal(place(await submitted(cluster, 3, stampOf(producer, 2))), '2.3');
  cluster.heal(1);
  for (const actor of [1, 2, 3]) cluster.crash(actor);
  for (const actor of [1, 2, 3]) cluster.start(actor);
  await cluster.elect(3);
  assert.equal(place(await submitted(cluster, 1, stampOf(producer, 2))), '2.3');
  assert.deepEqual(await cluster.eventsOf(1), ['1.1', '2.3', '3.3']);
});

test('other events, a gap, an unknown producer and an unknown epoch are refused, and nothing changes', async () => {
  const cluster = await elected();
  const producer = await opened(cluster);
  await submitted(cluster, 1, stampOf(producer, 1));
  assert.equal(place(await submitted(cluster, 2, stampOf(producer, 1), batch(1, 9))), 'SEQUENCE_REUSED');
  assert.equal(place(await submitted(cluster, 2, stampOf(producer, 1), batch(2))), 'SEQUENCE_REUSED');
  assert.equal(place(await submitted(cluster, 2, stampOf(producer, 3))), 'SEQUENCE_GAP');
  assert.equal(
    place(await submitted(cluster, 2, { ...stampOf(producer, 2), producer: producer.id + 1 })),
    'PRODUCER_EXPIRED',
  );
  assert.equal(place(await submitted(cluster, 2, { ...stampOf(producer, 2), epoch: 3 })), 'INVALID_ARGUMENT');
  assert.deepEqual(await cluster.eventsOf(1), ['1.1']);
  assert.equal(place(await submitted(cluster, 2, stampOf(producer, 2))), '2.2');
});

test('a leader that was replaced, and does not know it, calls nothing unknown that it has missed', async () => {
  const cluster = await elected();
  const before = await opened(cluster);
  cluster.cut(1);
  // No time passes for the first.
  for (let passed = 0; passed < 3000 && cluster.stream(2).group.role !== 'leader'; passed += 10)
    await cluster.advance(10, 2, 3);
  const opening = fateOf(cluster.stream(2).openProducer('other'));
  const committed = fateOf(cluster.stream(2).submit(batch(), stampOf(before, 1)));
  await cluster.advance(20, 2, 3);
  assert.deepEqual([place(committed), cluster.stream(1).group.role], ['1.2', 'leader']);
  const later = opening.value;
  assert.ok(later !== undefined);
  const [unknown, gap] = [stampOf(later, 1), stampOf(before, 2)].map((stamp) =>
    fateOf(cluster.stream(1).submit(batch(), stamp)),
  );
  assert.ok(unknown !== undefined && gap !== undefined);
  await cluster.settle();
  assert.deepEqual([unknown, gap].map(place), ['pending', 'pending']);
  cluster.heal(1);
  await cluster.advance(500);
  assert.deepEqual([unknown, gap].map(place), ['NOT_LEADER', 'NOT_LEADER']);
  assert.equal(place(await submitted(cluster, 1, stampOf(later, 1))), '2.1');
});

test('of what a producer has sent long ago nobody knows any more whether it is there', async () => {
  const cluster = await elected();
  const producer = await opened(cluster);
  for (let sequence = 1; sequence <= LIMITS.producerBatches + 1; sequence++)
    await submitted(cluster, 1, stampOf(producer, sequence), batch(1));
  assert.equal(place(await submitted(cluster, 1, stampOf(producer, 1), batch(1))), 'PRODUCER_EXPIRED');
  assert.equal(place(await submitted(cluster, 1, stampOf(producer, 2), batch(1))), '2.1');
});

test('many batches of a producer share an entry, a second attempt of one of them waits for it', async () => {
  const cluster = await elected();
  const producer = await opened(cluster);
  const before = cluster.stream(1).group.tail.index;
  const attempts = [1, 2, 2, 3, 1].map((sequence) =>
    fateOf(cluster.stream(1).submit(batch(), stampOf(producer, sequence))),
  );
  await cluster.settle();
  assert.deepEqual(attempts.map(place), ['1.1', '2.1', '2.1', '3.1', '1.1']);
  assert.equal(cluster.stream(1).group.tail.index, before + 1);
  assert.deepEqual(await cluster.eventsOf(1), ['1.1', '2.1', '3.1']);
});

test('while a batch is not committed, its second attempt and other events in its place wait for that', async () => {
  const cluster = await elected();
  const producer = await opened(cluster);
  cluster.cut(1);
  const first = fateOf(cluster.stream(1).submit(batch(), stampOf(producer, 1)));
  await cluster.settle();
  const again = fateOf(cluster.stream(1).submit(batch(), stampOf(producer, 1)));
  const others = fateOf(cluster.stream(1).submit(batch(2), stampOf(producer, 1)));
  await cluster.settle();
  assert.deepEqual([first, again, others].map(place), ['pending', 'pending', 'pending']);
  cluster.heal(1);
  await cluster.advance(200);
  assert.deepEqual([first, again, others].map(place), ['1.1', '1.1', 'SEQUENCE_REUSED']);
});

test('where a batch is never committed, those behind it were not proposed, and their sequence is free', async () => {
  const cluster = await elected();
  const producer = await opened(cluster);
  cluster.cut(1);
  const first = fateOf(cluster.stream(1).submit(batch(), stampOf(producer, 1)));
  await cluster.settle();
  const others = fateOf(cluster.stream(1).submit(batch(2), stampOf(producer, 1)));
  await cluster.settle();
  await cluster.elect(2);
  cluster.heal(1);
  await cluster.advance(200);
  assert.equal(place(others), 'NOT_LEADER');
  assert.equal(place(await submitted(cluster, 2, stampOf(producer, 1), batch(2))), '1.2');
  assert.equal(place(first), 'NOT_LEADER');
  assert.equal(place(await submitted(cluster, 3, stampOf(producer, 1), batch(1))), 'SEQUENCE_REUSED');
  assert.deepEqual(await cluster.eventsOf(1), ['1.2', '2.2']);
});

test('a new leader decides once it has applied what came before it, and keeps the order of what waits', async () => {
  const cluster = await elected();
  const producer = await opened(cluster);
  // The followers hold it, and have not been told that it is committed.
  const first = fateOf(cluster.stream(1).submit(batch(), stampOf(producer, 1)));
  cluster.server(1).clock.runSoon();
  cluster.deliver();
  cluster.cut(1);
  cluster.server(2).storage.held = true;
  const stream = cluster.stream(2);
  const vote = cluster.elect(2);
  cluster.server(2).storage.held = false;
  await vote;
  const again = [1, 2, 3].map((sequence) => fateOf(stream.submit(batch(), stampOf(producer, sequence))));
  await cluster.settle();
  assert.deepEqual(again.map(place), ['1.1', '2.2', '3.2']);
  cluster.heal(1);
  await cluster.advance(200);
  assert.equal(place(first), '1.1');
  assert.deepEqual(await cluster.eventsOf(3), ['1.1', '2.2', '3.2']);
});

test('opening a name again tells where it stands, and fences off the earlier holder while that sends', async () => {
  const cluster = await elected();
  const before = await opened(cluster, 1, 'importer');
  await submitted(cluster, 2, stampOf(before, 1));
  const opening = fateOf(cluster.stream(1).openProducer('importer'));
  const late = fateOf(cluster.stream(1).submit(batch(2), stampOf(before, 2)));
  await cluster.settle();
  assert.deepEqual(opening.value, { id: before.id, epoch: 3, sequence: 1 });
  assert.equal(place(late), 'PRODUCER_FENCED');
  assert.equal(place(await submitted(cluster, 3, stampOf(before, 1))), 'PRODUCER_FENCED');
  assert.ok(opening.value !== undefined);
  assert.equal(place(await submitted(cluster, 3, stampOf(opening.value, 1))), '1.2');
  assert.equal(place(await submitted(cluster, 3, stampOf(opening.value, 2))), '2.3');
});

test('of two who open a name at once, the later has it', async () => {
  const cluster = await elected();
  const [one, other] = [fateOf(cluster.stream(1).openProducer('x')), fateOf(cluster.stream(1).openProducer('x'))];
  await cluster.settle();
  assert.equal(one.code, 'PRODUCER_FENCED');
  assert.deepEqual([other.value?.epoch, other.value?.sequence], [3, 0]);
});

test('producers are opened only where there is space on disk', async () => {
  const cluster = await elected();
  for (const actor of [2, 3]) cluster.stream(actor).group.onDiskPressure('full');
  await cluster.advance(500);
  const before = cluster.stream(1).group.tail.index;
  const late = fateOf(cluster.stream(1).openProducer('other'));
  await cluster.settle();
  assert.deepEqual([late.code, cluster.stream(1).group.tail.index], ['DISK_NEARLY_FULL', before]);
});

test('only a leader opens producers', async () => {
  const cluster = await elected();
  const misled = fateOf(cluster.stream(2).openProducer('other'));
  await cluster.settle();
  assert.equal(misled.code, 'NOT_LEADER');
});

test('opening a producer makes log time pass: else it would be forgotten at once in a stream long silent', async () => {
  const cluster = await elected();
  assert.equal(cluster.stream(1).state.timeMs, 0);
  const beginMs = cluster.server(1).clock.utcMs();
  const { id } = await opened(cluster);
  assert.equal(cluster.stream(1).state.timeMs, beginMs);
  assert.equal(cluster.stream(1).state.producers.get(id)?.usedMs, beginMs);
});
