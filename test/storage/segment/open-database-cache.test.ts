import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../../src/group/system-clock.js';
import { type Closeable, OpenDatabaseCache } from '../../../src/storage/segment/open-database-cache.js';

class Fake implements Closeable {
  inUse = false;
  closed = 0;
  onClose: () => void = () => undefined;

  async close(): Promise<void> {
    this.closed++;
    this.onClose();
  }
}

function unexpected(error: unknown): void {
  assert.fail(String(error));
}

test('using a database closes the least recently used ones beyond the limit', () => {
  const cold = new OpenDatabaseCache(systemClock, unexpected, 2, 60_000);
  const [first, second, third] = [new Fake(), new Fake(), new Fake()];
  for (const database of [first, second, first, third]) cold.used(database);
  assert.deepEqual([first.closed, second.closed, third.closed], [0, 1, 0]);
  assert.equal(cold.size, 2);
  cold.stop();
});

test('using a database leaves open what is being read', () => {
  const cold = new OpenDatabaseCache(systemClock, unexpected, 1, 60_000);
  const [first, second, third] = [new Fake(), new Fake(), new Fake()];
  first.inUse = true;
  for (const database of [first, second, third]) cold.used(database);
  assert.deepEqual([first.closed, second.closed], [0, 1]);
  first.inUse = false;
  cold.used(first);
  assert.deepEqual([first.closed, third.closed], [0, 1]);
  cold.stop();
});

test('an idle database is closed after a while', async () => {
  const cold = new OpenDatabaseCache(systemClock, unexpected, 4, 5);
  const database = new Fake();
  const closed = new Promise<void>((resolve) => (database.onClose = resolve));
  cold.used(database);
  await closed;
  assert.equal(cold.size, 0);
  cold.stop();
});

test('a failure to close is reported', async () => {
  const reported = new Promise<unknown>((resolve) => {
    const cold = new OpenDatabaseCache(systemClock, resolve, 1, 60_000);
    const failing: Closeable = { inUse: false, close: () => Promise.reject(new Error('no')) };
    cold.used(failing);
    cold.used(new Fake());
    cold.stop();
  });
  assert.match(String(await reported), /no/);
});
