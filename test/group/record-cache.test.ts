import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { counter, logIndex, term } from '../../src/base/index.js';
import { CacheBudget } from '../../src/group/cache-budget.js';
import { RecordCache, weightOf } from '../../src/group/record-cache.js';
import { EMPTY_LOG_TAIL, type LogRecord, RECORD_HEADER_BYTES, sealRecord, tailAfter } from '../../src/wire/index.js';

/** Records 1, 2, … with so many events each, of 100 bytes. */
function recordsOf(eventCounts: readonly number[]): LogRecord[] {
  const records: LogRecord[] = [];
  for (const eventCount of eventCounts) {
    const last = records.at(-1);
    const tail = last === undefined ? EMPTY_LOG_TAIL : tailAfter(last);
    records.push(
      sealRecord(tail, {
        kind: eventCount === 0 ? 'no-op' : 'events',
        term: term(1),
        eventCount,
        payloadBytes: 100 - RECORD_HEADER_BYTES,
      }),
    );
  }
  return records;
}

/** What each of them weighs. */
const WEIGHT = weightOf({ bytes: new Uint8Array(100) });

function cacheOf(
  records: readonly LogRecord[],
  capacityBytes = 100 * WEIGHT,
  budget = new CacheBudget(capacityBytes),
): RecordCache {
  const cache = new RecordCache(budget, logIndex(1));
  for (const record of records) cache.append(record);
  return cache;
}

test('slice gives what fits, at least one record, and nothing where the first is not here', () => {
  const records = recordsOf([1, 1, 1, 1]);
  const cache = cacheOf(records);
  assert.deepEqual(cache.slice(logIndex(2), logIndex(3), 10_000), records.slice(1, 3));
  assert.deepEqual(cache.slice(logIndex(2), logIndex(9), 250), records.slice(1, 3));
  assert.deepEqual(cache.slice(logIndex(2), logIndex(9), 1), records.slice(1, 2));
  assert.equal(cache.slice(logIndex(5), logIndex(9), 10_000), undefined);
  assert.equal(new RecordCache(new CacheBudget(100), logIndex(8)).slice(logIndex(7), logIndex(9), 100), undefined);
});

test('evict keeps the bound, and never lets go of what is not durable', () => {
  const cache = cacheOf(recordsOf(new Array(10).fill(1)), 3 * WEIGHT);
  cache.evict(logIndex(4));
  assert.equal(cache.bytes, 6 * WEIGHT);
  assert.equal(cache.get(logIndex(4)), undefined);
  assert.equal(cache.get(logIndex(5))?.index, 5);
  cache.evict(logIndex(10));
  assert.equal(cache.bytes, 3 * WEIGHT);
  assert.equal(cache.slice(logIndex(7), logIndex(10), 10_000), undefined);
  assert.equal(cache.slice(logIndex(8), logIndex(10), 10_000)?.length, 3);
});

test('truncateAfter removes the end, also below what is cached', () => {
  const records = recordsOf(new Array(6).fill(1));
  const cache = cacheOf(records, 3 * WEIGHT);
  cache.evict(logIndex(6));
  cache.truncateAfter(logIndex(5));
  assert.equal(cache.lastIndex, 5);
  assert.equal(cache.bytes, 2 * WEIGHT);
  cache.truncateAfter(logIndex(2));
  assert.equal(cache.lastIndex, 2);
  assert.equal(cache.bytes, 0);
  const [, , third] = records;
  assert.ok(third !== undefined);
  cache.append(third);
  assert.equal(cache.get(logIndex(3)), third);
});

test('append refuses gaps', () => {
  const [first, , third] = recordsOf([1, 1, 1]);
  assert.ok(first !== undefined && third !== undefined);
  const cache = cacheOf([first]);
  assert.throws(() => cache.append(third), /does not follow/);
});

test('indexOfCounter finds the record of every event', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(4), { maxLength: 12 }), fc.nat(12), (eventCounts, evicted) => {
      const records = recordsOf(eventCounts);
      const cache = cacheOf(records, 0);
      cache.evict(logIndex(Math.min(evicted, records.length)));
      const total = eventCounts.reduce((sum, count) => sum + count, 0);
      for (let sought = 1; sought <= total + 1; sought++) {
        const holder = records.find(
          ({ firstCounter, eventCount }) => sought >= firstCounter && sought < firstCounter + eventCount,
        )?.index;
        const expected = holder !== undefined && holder > evicted ? holder : undefined;
        assert.equal(cache.indexOfCounter(counter(sought)), expected, `counter ${sought}`);
      }
    }),
  );
});

test('the cache is the tail of the plain list, whatever is done to it', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.constant({ name: 'append' as const, share: 0 }) },
    {
      weight: 1,
      arbitrary: fc.record({
        name: fc.constantFrom('truncate' as const, 'evict' as const),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const budget = new CacheBudget(5 * WEIGHT);
      const cache = new RecordCache(budget, logIndex(1));
      let plain: LogRecord[] = [];
      for (const { name, share } of steps) {
        const at = logIndex(Math.floor(share * plain.length));
        if (name === 'append') {
          const last = plain.at(-1);
          const record = sealRecord(last === undefined ? EMPTY_LOG_TAIL : tailAfter(last), {
            kind: 'no-op',
            term: term(1),
            eventCount: 0,
            payloadBytes: 60,
          });
          plain.push(record);
          cache.append(record);
        } else if (name === 'truncate') {
          plain = plain.slice(0, at);
          cache.truncateAfter(at);
        } else cache.evict(at);
        assert.equal(cache.lastIndex, plain.length);
        const cached = plain.filter(({ index }) => cache.get(index) !== undefined);
        assert.deepEqual(cached, plain.slice(plain.length - cached.length), 'no holes');
        assert.equal(
          cache.bytes,
          cached.reduce((sum, record) => sum + weightOf(record), 0),
        );
        assert.equal(budget.bytes, cache.bytes);
        assert.equal(
          cache.bytesAfter(logIndex(at)),
          cached.filter(({ index }) => index > at).reduce((sum, record) => sum + record.bytes.byteLength, 0),
        );
      }
    }),
  );
});
