/** A producer that was never opened, and that has no name: its stamps, and what it makes of what nodes answer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deferred } from '../../../src/client/connection/deferred.js';
import { clientOf, cluster, code, only } from '../../support/fake-cluster.js';
import type { Verdict } from '../../support/fake-node.js';

test('a producer registers with its first batch, and says how long ago that was when it sends it again', async () => {
  const { nodes } = await cluster(1);
  const node = only(nodes);
  node.onBatch = (_packed, position) => (position < 2 ? { failure: { code: 'OUTCOME_UNKNOWN' } } : 'append');
  const client = clientOf(nodes);
  await client.produce({ namespace: '/a' });
  await client.produce({ namespace: '/a' });
  const stamps = node.received.map(({ stamp }) => stamp);
  assert.equal(new Set(stamps.map(({ producerId }) => producerId)).size, 1);
  assert.deepEqual(
    stamps.map(({ epoch, sequence, firstSentMsAgo }) => [epoch, sequence, firstSentMsAgo > 0]),
    [
      [1, 1, false],
      [1, 1, true],
      [1, 1, true],
      [1, 2, false],
    ],
  );
  const other = clientOf(nodes);
  await other.produce({ namespace: '/a' });
  assert.notEqual(node.received.at(-1)?.stamp.producerId, stamps[0]?.producerId);
});

test('a batch that came out of turn waits for the one before it', async () => {
  const { nodes, log } = await cluster(1);
  const node = only(nodes);
  const client = clientOf(nodes);
  // The first is lost on its way to the leader: the node tells it only after the second is refused.
  const hold = deferred<Verdict>();
  node.onBatch = (_packed, position) => (position === 0 ? hold.promise : 'append');
  const first = client.produce({ namespace: '/a', data: '1' });
  while (node.received.length < 1) await new Promise((resolve) => setImmediate(resolve));
  const second = client.produce({ namespace: '/a', data: '2' });
  while (node.received.length < 2) await new Promise((resolve) => setImmediate(resolve));
  hold.resolve({ failure: { code: 'NOT_LEADER' } });
  await Promise.all([first, second]);
  assert.deepEqual(log.texts(), ['1', '2']);
});

test('a producer that the stream has forgotten goes on as another; only what is in doubt is unknown', async () => {
  const { nodes, log } = await cluster(1);
  const node = only(nodes);
  const client = clientOf(nodes);
  await client.produce({ namespace: '/a', data: '1' });
  log.forget();
  await client.produce({ namespace: '/a', data: '2' });
  assert.deepEqual(log.texts(), ['1', '2']);
  node.onBatch = () => 'append-silently';
  const doubtful = client.produce({ namespace: '/a', data: '3' });
  while (node.received.length < 4) await new Promise((resolve) => setImmediate(resolve));
  log.forget();
  node.onBatch = () => 'append';
  const { port } = node;
  await node.kill();
  await node.start(port);
  await assert.rejects(doubtful, code('OUTCOME_UNKNOWN'));
  await client.produce({ namespace: '/a', data: '4' });
  assert.deepEqual(log.texts(), ['1', '2', '3', '4']);
});
