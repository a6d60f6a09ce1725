import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, logIndex } from '../../src/base/index.js';
import { ReadIndexQueue } from '../../src/raft/read-index.js';

const SELF = actorId(1);
const PEER = actorId(2);

test('confirm releases only reads of that round and earlier ones', () => {
  const queue = new ReadIndexQueue();
  queue.add(SELF, 1, logIndex(5), 3);
  queue.add(PEER, 2, logIndex(7), 4);
  assert.deepEqual(queue.confirm(2), []);
  assert.deepEqual(queue.confirm(3), [{ from: SELF, requestId: 1, index: 5 }]);
  assert.equal(queue.length, 1);
  assert.deepEqual(queue.confirm(9), [{ from: PEER, requestId: 2, index: 7 }]);
});

test('a read before the no-op is committed waits for it, and is safe at that index', () => {
  const queue = new ReadIndexQueue();
  queue.add(SELF, 1, undefined, 1);
  assert.deepEqual(queue.confirm(5), []);
  queue.noopCommitted(logIndex(12));
  queue.noopCommitted(logIndex(20));
  assert.deepEqual(queue.confirm(5), [{ from: SELF, requestId: 1, index: 12 }]);
});

test('needsRoundAfter tells whether some read waits for a later round', () => {
  const queue = new ReadIndexQueue();
  assert.equal(queue.needsRoundAfter(0), false);
  queue.add(SELF, 1, logIndex(5), 3);
  assert.equal(queue.needsRoundAfter(2), true);
  assert.equal(queue.needsRoundAfter(3), false);
});

test("abandon settles the server's own reads as not confirmed, and forgets the others", () => {
  const queue = new ReadIndexQueue();
  queue.add(SELF, 1, logIndex(5), 3);
  queue.add(PEER, 2, logIndex(5), 3);
  assert.deepEqual(queue.abandon(SELF), [{ requestId: 1, index: 0 }]);
  assert.equal(queue.length, 0);
});
