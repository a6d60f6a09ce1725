import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError, LIMITS } from '../../../src/base/index.js';
import { deferred } from '../../../src/client/connection/deferred.js';
import { FlotillaClient, type Receipt } from '../../../src/client/index.js';
import { clientOf, cluster, code, only } from '../../support/fake-cluster.js';
import type { Verdict } from '../../support/fake-node.js';
import { until } from '../../support/until.js';

test('produce resolves with a receipt of the id, the entry and the incarnation', async () => {
  const { nodes, log } = await cluster(1);
  const receipt = await clientOf(nodes).produce({ namespace: '/food/breakfast/eggs', data: 'I made some eggs' });
  assert.equal(receipt.id, '0000000000000000000100001');
  assert.deepEqual(receipt.ids(), ['0000000000000000000100001']);
  assert.equal(receipt.firstId, receipt.lastId);
  assert.deepEqual([receipt.count, receipt.term, receipt.logIndex, receipt.incarnation], [1, 1, 1, log.incarnation]);
  assert.deepEqual(log.texts(), ['I made some eggs']);
});

test('calls of one turn travel in one batch, and each gets its own ids', async () => {
  const { nodes, log } = await cluster(1);
  const client = clientOf(nodes);
  const receipts = await Promise.all([
    client.produce({ namespace: '/a', data: '1' }),
    client.append([
      { namespace: '/a', data: '2' },
      { namespace: '/b', data: '3' },
    ]),
    client.produce({ namespace: '/c' }),
  ]);
  assert.equal(only(nodes).received.length, 1);
  assert.deepEqual(
    receipts.map((receipt) => receipt.ids()),
    [
      ['0000000000000000000100001'],
      ['0000000000000000000200001', '0000000000000000000300001'],
      ['0000000000000000000400001'],
    ],
  );
  assert.deepEqual(log.texts(), ['1', '2', '3', '']);
});

test('what is produced while the window is full waits and goes into the next batch', async () => {
  const { nodes, log } = await cluster(1);
  const node = only(nodes);
  const client = clientOf(nodes);
  const hold = deferred<Verdict>();
  const windowFull = deferred<void>();
  node.onBatch = (_packed, position) => {
    if (position === LIMITS.clientBatchesInFlight - 1) windowFull.resolve();
    return position < LIMITS.clientBatchesInFlight ? hold.promise : 'append';
  };
  const calls: Promise<unknown>[] = [];
  for (let call = 0; call < LIMITS.clientBatchesInFlight; call++) {
    calls.push(client.produce({ namespace: '/a', data: `first ${call}` }));
    // Each in a turn of its own.
    await new Promise((resolve) => setImmediate(resolve));
    while (node.received.length <= call) await new Promise((resolve) => setImmediate(resolve));
  }
  await windowFull.promise;
  for (let call = 0; call < 100; call++) {
    calls.push(client.produce({ namespace: '/a', data: `then ${call}` }));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(node.received.length, LIMITS.clientBatchesInFlight);
  hold.resolve('append');
  await Promise.all(calls);
  assert.equal(node.received.length, LIMITS.clientBatchesInFlight + 1);
  assert.equal(node.received.at(-1)?.count, 100);
  assert.equal(log.texts().at(-1), 'then 99');
});

test('a batch closes at its size, and an append is never split', async () => {
  const { nodes } = await cluster(1);
  const client = clientOf(nodes);
  const data = new Uint8Array(100 * 1024);
  const event = { namespace: '/big', data };
  await Promise.all([
    client.produce(event),
    client.produce(event),
    client.produce(event),
    client.append(Array.from({ length: 9 }, () => event)),
  ]);
  assert.deepEqual(
    only(nodes).received.map((batch) => batch.count),
    [2, 1, 9],
  );
});

test('a refused batch is sent again, in order, before what was behind it', async () => {
  const { nodes, log } = await cluster(1);
  const client = clientOf(nodes);
  only(nodes).onBatch = (_packed, position) =>
    position % 5 === 2 && position < 20 ? { failure: { code: 'NO_LEADER' } } : 'append';
  const calls: Promise<Receipt>[] = [];
  for (let call = 0; call < 200; call++) {
    calls.push(client.produce({ namespace: '/a', data: String(call) }));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const receipts = await Promise.all(calls);
  assert.ok(only(nodes).received.length > 10);
  assert.deepEqual(
    log.texts(),
    Array.from({ length: 200 }, (_, call) => String(call)),
  );
  assert.deepEqual(
    receipts.map((receipt) => receipt.eventId.counter),
    Array.from({ length: 200 }, (_, call) => call + 1),
  );
});

test('when the node dies, it goes on with another; what was unanswered is sent again, and is there once', async () => {
  const { nodes, log } = await cluster(3);
  const client = clientOf(nodes);
  const [first] = nodes;
  assert.ok(first !== undefined);
  first.onBatch = (_packed, position) => (position < 2 ? 'append' : position === 2 ? 'append-silently' : 'kill');
  for (let call = 0; call < 2; call++) await client.produce({ namespace: '/a', data: String(call) });
  const silent = client.produce({ namespace: '/a', data: '2' });
  while (first.received.length < 3) await new Promise((resolve) => setImmediate(resolve));
  const killed = client.produce({ namespace: '/a', data: '3' });
  const receipts = await Promise.all([silent, killed, client.produce({ namespace: '/a', data: '4' })]);
  assert.deepEqual(
    receipts.map(({ eventId }) => `${eventId.counter}.${eventId.actor}`),
    ['3.1', '4.2', '5.2'],
  );
  assert.deepEqual(log.texts(), ['0', '1', '2', '3', '4']);
});

test('a final refusal of one call spares the others of its batch', async () => {
  const { nodes, log } = await cluster(1);
  const client = clientOf(nodes);
  only(nodes).onBatch = (packed) =>
    Buffer.from(packed.body).includes('bad') ? { failure: { code: 'MESSAGE_TOO_LARGE' } } : 'append';
  const [good, bad, fine] = await Promise.allSettled([
    client.produce({ namespace: '/a', data: 'good' }),
    client.produce({ namespace: '/a', data: 'bad' }),
    client.produce({ namespace: '/a', data: 'fine' }),
  ]);
  assert.equal(good?.status, 'fulfilled');
  assert.equal(fine?.status, 'fulfilled');
  assert.ok(bad?.status === 'rejected' && code('MESSAGE_TOO_LARGE')(bad.reason));
  assert.deepEqual(log.texts(), ['good', 'fine']);
});

test('a stream that is refused as a whole rejects its calls with that code', async () => {
  const { nodes } = await cluster(1);
  only(nodes).onBatch = () => ({ end: new FlotillaError('NOT_FOUND', 'stream "x": there is none') });
  await assert.rejects(clientOf(nodes).produce({ namespace: '/a' }), code('NOT_FOUND'));
});

test('the deadline is UNREACHABLE or NO_LEADER where nothing can be appended, else OUTCOME_UNKNOWN', async () => {
  const { nodes } = await cluster(1);
  const node = only(nodes);
  const client = clientOf(nodes, { timeoutMs: 1000 });
  node.onBatch = () => ({ failure: { code: 'NO_LEADER', message: 'no majority' } });
  await assert.rejects(client.produce({ namespace: '/a' }), code('NO_LEADER'));
  node.onBatch = () => 'ignore';
  await assert.rejects(client.produce({ namespace: '/a' }), code('OUTCOME_UNKNOWN'));
  await node.kill();
  await assert.rejects(
    client.produce({ namespace: '/a' }),
    (error) => code('UNREACHABLE')(error) || code('OUTCOME_UNKNOWN')(error),
  );
  await assert.rejects(client.produce({ namespace: '/a' }), code('UNREACHABLE'));
});

test('where nothing listens at all, UNREACHABLE comes after the connect time-out', async () => {
  const { nodes } = await cluster(1);
  await only(nodes).kill();
  const startedMs = performance.now();
  await assert.rejects(clientOf(nodes, { connectTimeoutMs: 200 }).produce({ namespace: '/a' }), code('UNREACHABLE'));
  assert.ok(performance.now() - startedMs < 2000);
});

test('it follows the leader once what is in flight is answered, and stays where that is not reachable', async () => {
  const { nodes, log } = await cluster(2);
  const [first, second] = nodes;
  assert.ok(first !== undefined && second !== undefined);
  first.leader = { actorId: 2, address: second.address, members: [] };
  const client = clientOf([first]);
  await client.produce({ namespace: '/a', data: '0' });
  for (let call = 1; second.received.length === 0; call++)
    await client.produce({ namespace: '/a', data: String(call) });
  assert.equal(new Set(log.texts()).size, log.texts().length);

  first.leader = { actorId: 9, address: '127.0.0.1:1', members: [] };
  const received = first.received.length;
  const other = clientOf([first]);
  for (let call = 0; call < 20; call++) await other.produce({ namespace: '/b' });
  assert.equal(first.received.length, received + 20);
});

test('where its node knows no leader it listens, and goes to the leader that it is told of', async () => {
  const { nodes } = await cluster(2);
  const [first, second] = nodes;
  assert.ok(first !== undefined && second !== undefined);
  first.onBatch = () => ({ failure: { code: 'NO_LEADER' } });
  const call = clientOf([first]).produce({ namespace: '/a' });
  await until('it has been told of the leader where it was refused', () => {
    first.announce({ actorId: 2, address: second.address, members: [] });
    return second.received.length > 0;
  });
  assert.equal((await call).eventId.actor, 2);
});

test('a leader that is handing over is listened to, and one that tells nothing is asked again', async () => {
  const { nodes } = await cluster(1);
  const node = only(nodes);
  node.onBatch = (_packed, position) =>
    position < 2 ? { failure: { code: 'NOT_LEADER', leader: node.address } } : 'append';
  assert.equal((await clientOf(nodes).produce({ namespace: '/a' })).eventId.actor, 1);
  assert.equal(node.received.length, 3);
});

test('followLeader false stays with its node while that answers', async () => {
  const { nodes } = await cluster(2);
  const [first, second] = nodes;
  assert.ok(first !== undefined && second !== undefined);
  first.leader = { actorId: 2, address: second.address, members: [] };
  let refusals = 0;
  first.onBatch = () => (refusals++ < 5 ? { failure: { code: 'NO_LEADER', leader: second.address } } : 'append');
  const client = clientOf(nodes, { followLeader: false });
  for (let call = 0; call < 10; call++) assert.equal((await client.produce({ namespace: '/a' })).eventId.actor, 1);
  assert.equal(second.received.length, 0);
});

test('members are learned from the node at hand, and taken when it dies', async () => {
  const { nodes } = await cluster(2);
  const [first, second] = nodes;
  assert.ok(first !== undefined && second !== undefined);
  first.nodes = [{ address: first.address }, { address: second.address }];
  const client = clientOf([first]);
  await client.produce({ namespace: '/a' });
  assert.equal((await client.status()).length, 2);
  await first.kill();
  assert.equal((await client.produce({ namespace: '/a' })).eventId.actor, 2);
});

test('members are learned from a node that takes no batches', async () => {
  const { nodes } = await cluster(2);
  const [first, second] = nodes;
  assert.ok(first !== undefined && second !== undefined);
  first.nodes = [{ address: first.address }, { address: second.address }];
  first.onBatch = () => ({ failure: { code: 'NO_LEADER' } });
  assert.equal((await clientOf([first]).produce({ namespace: '/a' })).eventId.actor, 2);
});

test('it says when as much waits as should', async () => {
  const { nodes } = await cluster(1);
  const hold = deferred<Verdict>();
  only(nodes).onBatch = () => hold.promise;
  const client = clientOf(nodes);
  assert.equal(client.drained(), undefined);
  const calls: Promise<unknown>[] = [];
  while (client.writable) calls.push(client.produce({ namespace: '/a', data: new Uint8Array(1024 * 1024) }));
  assert.equal(calls.length, LIMITS.clientBufferBytes / (1024 * 1024));
  const drained = client.drained();
  assert.ok(drained !== undefined);
  hold.resolve('append');
  await drained;
  assert.equal(client.writable, true);
  await Promise.all(calls);
});

test('bad events are refused at once, with the field', async () => {
  const { nodes } = await cluster(1);
  const client = clientOf(nodes);
  const refused = (message: RegExp) => (error: unknown) =>
    code('INVALID_ARGUMENT')(error) && error instanceof Error && message.test(error.message);
  await assert.rejects(client.produce({ namespace: '' }), refused(/event\.namespace/));
  await assert.rejects(client.produce({ namespace: '/$parked/x' }), refused(/event\.namespace/));
  await assert.rejects(
    client.append([{ namespace: '/a' }, { namespace: '/a', parentId: '4.' }]),
    refused(/events\[1\]\.parentId/),
  );
  await assert.rejects(client.produce({ namespace: '/a', data: '\ud800' }), refused(/lone surrogate/));
  await assert.rejects(client.append([]), refused(/at least one/));
  const untyped = client as unknown as {
    produce(event: unknown): Promise<unknown>;
    append(events: unknown): Promise<unknown>;
  };
  for (const input of [undefined, null, 'text'])
    await assert.rejects(untyped.produce(input), refused(/^event: it must be an object/));
  await assert.rejects(
    untyped.produce({ namespace: '/a', metadata: null }),
    refused(/^event\.metadata: it must be an object/),
  );
  await assert.rejects(
    untyped.produce({ namespace: '/a', parentId: 4 }),
    refused(/^event\.parentId: it must be a string/),
  );
  await assert.rejects(untyped.append(undefined), refused(/^events: they must be an array/));
  await assert.rejects(untyped.append([{ namespace: '/a' }, undefined]), refused(/^events\[1\]: it must be an object/));
  await assert.rejects(
    client.produce({ namespace: '/a', data: new Uint8Array(LIMITS.eventDataBytes + 1) }),
    code('MESSAGE_TOO_LARGE'),
  );
  assert.throws(() => new FlotillaClient({ hosts: 'localhost:70000' }), refused(/port/));
  assert.throws(() => new FlotillaClient({ stream: 'no such/name' }), refused(/stream/));
  assert.equal(only(nodes).received.length, 0);
});

test('close waits for what was produced, and refuses what comes later', async () => {
  const { nodes, log } = await cluster(1);
  const client = clientOf(nodes);
  const calls = [client.produce({ namespace: '/a', data: '1' }), client.produce({ namespace: '/a', data: '2' })];
  await client.close();
  await Promise.all(calls);
  assert.deepEqual(log.texts(), ['1', '2']);
  await assert.rejects(client.produce({ namespace: '/a' }), code('CANCELLED'));
});

test('members that the produce stream names are taken when its node dies at once', async () => {
  const { nodes } = await cluster(2);
  const [first, second] = nodes;
  assert.ok(first !== undefined && second !== undefined);
  // The node does not answer which the members are: only the stream has told.
  first.leader = { actorId: 1, address: first.address, members: [first.address, second.address] };
  const client = clientOf([first]);
  await client.produce({ namespace: '/a' });
  await first.kill();
  assert.equal((await client.produce({ namespace: '/a' })).eventId.actor, 2);
});
