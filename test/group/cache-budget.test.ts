import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { logIndex, term } from '../../src/base/index.js';
import { CacheBudget } from '../../src/group/cache-budget.js';
import { RecordCache, weightOf } from '../../src/group/record-cache.js';
import { EMPTY_LOG_TAIL, type LogTail, RECORD_HEADER_BYTES, sealRecord, tailAfter } from '../../src/wire/index.js';

const WEIGHT = weightOf({ bytes: new Uint8Array(100) });

/** A group's hot tail, and what it was given so far. */
class Group {
  readonly cache: RecordCache;
  private tail: LogTail = EMPTY_LOG_TAIL;

  constructor(budget: CacheBudget) {
    this.cache = new RecordCache(budget, logIndex(1));
  }

  append(count: number, durable = true): void {
    for (let each = 0; each < count; each++) {
      const record = sealRecord(this.tail, {
        kind: 'events',
        term: term(1),
        eventCount: 1,
        payloadBytes: 100 - RECORD_HEADER_BYTES,
      });
      this.tail = tailAfter(record);
      this.cache.append(record);
    }
    if (durable) this.cache.evict(this.tail.index);
  }

  read(): void {
    this.cache.slice(this.cache.beginIndex, this.cache.lastIndex, 1);
  }

  get held(): number {
    return this.cache.bytes / WEIGHT;
  }
}

test('groups share one bound, and the one without use for the longest time gives first', () => {
  const budget = new CacheBudget(10 * WEIGHT);
  const [first, second, third] = [new Group(budget), new Group(budget), new Group(budget)];
  first.append(6);
  second.append(4);
  assert.deepEqual([first.held, second.held], [6, 4]);
  first.read();
  third.append(5);
  assert.deepEqual([first.held, second.held, third.held], [5, 0, 5], 'the first was read since the second was written');
  assert.equal(budget.bytes, 10 * WEIGHT);
});

test('a group alone gets all of the bound', () => {
  const budget = new CacheBudget(10 * WEIGHT);
  const [first, second] = [new Group(budget), new Group(budget)];
  second.append(3);
  first.append(30);
  assert.deepEqual([first.held, second.held], [10, 0]);
});

test('what is not durable stays in every group, and the others give way to it', () => {
  const budget = new CacheBudget(10 * WEIGHT);
  const [first, second] = [new Group(budget), new Group(budget)];
  first.append(12, false);
  second.append(4);
  assert.deepEqual([first.held, second.held], [12, 0]);
  first.append(1);
  assert.equal(first.held, 10);
});

test('the budget is always what all caches weigh, and is kept where all is durable', () => {
  const step = fc.record({ group: fc.nat(3), appended: fc.nat(5) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const budget = new CacheBudget(7 * WEIGHT);
      const groups = Array.from({ length: 4 }, () => new Group(budget));
      for (const { group, appended } of steps) {
        const chosen = groups[group];
        chosen?.append(appended);
        assert.equal(
          budget.bytes,
          groups.reduce((sum, { cache }) => sum + cache.bytes, 0),
        );
        assert.ok(budget.bytes <= 7 * WEIGHT);
      }
    }),
  );
});
