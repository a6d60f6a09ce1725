import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, groupId, LIMITS, logIndex, term } from '../../../src/base/index.js';
import type { PersistRequest } from '../../../src/group/index.js';
import { bytesOf, mergeByGroup, WriteQueue } from '../../../src/storage/group/write-queue.js';
import { GROUP, RecordChain } from '../fixture.js';

function indexesOf(requests: PersistRequest[]): { truncateAfter: number | undefined; indexes: number[] } {
  const write = mergeByGroup(requests).get(GROUP);
  assert.ok(write !== undefined);
  return { truncateAfter: write.truncateAfter, indexes: write.records.map(({ index }) => index) };
}

function request(records: PersistRequest['records'], truncateAfter?: number): PersistRequest {
  return truncateAfter === undefined
    ? { group: GROUP, records }
    : { group: GROUP, records, truncateAfter: logIndex(truncateAfter) };
}

test('merged requests append their records one after another', () => {
  const chain = new RecordChain();
  assert.deepEqual(indexesOf([request(chain.addMany(2)), request(chain.addMany(3))]), {
    truncateAfter: undefined,
    indexes: [1, 2, 3, 4, 5],
  });
});

test('a merged truncation of records that still wait does not reach the disk', () => {
  const chain = new RecordChain();
  const waiting = request(chain.addMany(5));
  chain.truncate(2);
  assert.deepEqual(indexesOf([waiting, request(chain.addMany(1), 2)]), {
    truncateAfter: undefined,
    indexes: [1, 2, 3],
  });
});

test('merged requests truncate what is on disk by the lowest of their truncations', () => {
  const chain = new RecordChain();
  chain.addMany(9);
  chain.truncate(7);
  const first = request(chain.addMany(2), 7);
  chain.truncate(4);
  const second = request(chain.addMany(1), 4);
  chain.truncate(4);
  assert.deepEqual(indexesOf([first, second, request(chain.addMany(3), 4)]), { truncateAfter: 4, indexes: [5, 6, 7] });
});

test('merged requests write the last hard state of each group', () => {
  const hardState = (value: number): PersistRequest['hardState'] => ({ term: term(value), vote: actorId(1) });
  const merged = mergeByGroup([
    { group: groupId(1), records: [], hardState: { term: term(1), vote: undefined } },
    { group: groupId(2), records: [], hardState: { term: term(9), vote: undefined } },
    { group: groupId(1), records: [], hardState: { term: term(2), vote: actorId(1) } },
    { group: groupId(1), records: [] },
  ]);
  assert.deepEqual(merged.get(groupId(1))?.hardState, hardState(2));
  assert.equal(merged.get(groupId(2))?.hardState?.term, 9);
});

test('takeGroup takes as many calls as fit, at least one', () => {
  const queue = new WriteQueue();
  const chain = new RecordChain();
  const push = (bytes: number): void => {
    const requests = [request([chain.add({ bytes })])];
    queue.push({ requests, bytes: bytesOf(requests), resolve: () => undefined, reject: () => undefined });
  };
  for (const bytes of [2 * LIMITS.writeGroupBytes, 10, LIMITS.writeGroupBytes / 2, LIMITS.writeGroupBytes / 2, 10])
    push(bytes);
  assert.deepEqual(
    [queue.takeGroup().length, queue.takeGroup().length, queue.takeGroup().length, queue.takeGroup().length],
    [1, 2, 2, 0],
  );
});
