import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type LogIndex, logIndex, term } from '../../src/base/index.js';
import { LogShape } from '../../src/raft/index.js';

const EMPTY = { index: logIndex(0), term: term(0) };

/** The plain thing: a term per entry; position 0 is the entry that the log begins after. */
class PlainLog {
  readonly terms: number[];
  readonly begin: number;

  constructor(begin: number, terms: number[]) {
    this.begin = begin;
    this.terms = terms;
  }

  get last(): number {
    return this.begin + this.terms.length - 1;
  }

  termAt(index: number): number | undefined {
    return index < this.begin ? undefined : this.terms[index - this.begin];
  }

  lastIndexAtMost(limit: number, termLimit: number): number {
    for (let index = Math.min(limit, this.last); index > this.begin; index--) {
      if ((this.termAt(index) ?? 0) <= termLimit) return index;
    }
    return this.begin;
  }
}

type Change = { append: number } | { truncateTo: number };

const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ append: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ truncateTo: fc.double({ min: 0, max: 1, noNaN: true }) }) },
);

function shapeOf(plain: PlainLog): LogShape {
  const starts = plain.terms
    .map((entryTerm, position) => ({ index: logIndex(plain.begin + position), term: term(entryTerm) }))
    .slice(1)
    .filter((start, position) => start.term !== plain.terms[position]);
  return new LogShape({ index: logIndex(plain.begin), term: term(plain.terms[0] ?? 0) }, starts, logIndex(plain.last));
}

test('the log shape answers like a plain array of terms', () => {
  const begins = fc.constantFrom({ begin: 0, term: 0 }, { begin: 17, term: 3 });
  fc.assert(
    fc.property(begins, fc.array(change, { maxLength: 30 }), ({ begin, term: beginTerm }, changes) => {
      const plain = new PlainLog(begin, [beginTerm]);
      const shape = shapeOf(plain);
      for (const step of changes) {
        if ('append' in step) {
          const next = (plain.terms.at(-1) ?? 0) + step.append;
          plain.terms.push(next);
          shape.append(logIndex(plain.last), term(next));
        } else {
          plain.terms.length = 1 + Math.floor(step.truncateTo * (plain.terms.length - 1));
          shape.truncateAfter(logIndex(plain.last));
        }
        assertSame(shape, plain);
        assertSame(shapeOf(plain), plain);
      }
    }),
    { numRuns: 200 },
  );
});

function assertSame(shape: LogShape, plain: PlainLog): void {
  assert.equal(shape.beginIndex, plain.begin);
  assert.equal(shape.lastIndex, plain.last);
  assert.equal(shape.lastTerm, plain.terms.at(-1));
  for (let index = plain.begin - 1; index <= plain.last + 1; index++) {
    assert.equal(shape.termAt(logIndex(index)), plain.termAt(index), `term at ${index}`);
    for (const limit of [0, 1, 3, 5, 8]) {
      assert.equal(
        shape.lastIndexAtMost(logIndex(index), term(limit)),
        plain.lastIndexAtMost(index, limit),
        `last up to ${index} with term <= ${limit}`,
      );
    }
  }
}

test('isUpToDate compares the last term first, then the length', () => {
  const shape = new LogShape(
    EMPTY,
    [
      { index: logIndex(1), term: term(1) },
      { index: logIndex(3), term: term(4) },
    ],
    logIndex(5),
  );
  assert.equal(shape.isUpToDate(logIndex(1), term(5)), true, 'a later term wins, however short the log');
  assert.equal(shape.isUpToDate(logIndex(5), term(4)), true);
  assert.equal(shape.isUpToDate(logIndex(6), term(4)), true);
  assert.equal(shape.isUpToDate(logIndex(4), term(4)), false);
  assert.equal(shape.isUpToDate(logIndex(99), term(3)), false);
});

test('a log that was dropped in the middle of a term knows that term at its begin', () => {
  const shape = new LogShape(
    { index: logIndex(10), term: term(2) },
    [
      { index: logIndex(11), term: term(2) },
      { index: logIndex(14), term: term(5) },
    ],
    logIndex(20),
  );
  assert.equal(shape.matches(logIndex(10), term(2)), true);
  assert.equal(shape.termAt(logIndex(9)), undefined);
  assert.equal(shape.termAt(logIndex(13)), 2);
  assert.equal(shape.lastIndexAtMost(logIndex(20), term(1)), 10);
});

test('append refuses gaps, and terms that go back', () => {
  const shape = new LogShape(EMPTY, [{ index: logIndex(1), term: term(3) }], logIndex(2));
  const broken = (index: LogIndex, entryTerm: number) => (): void => shape.append(index, term(entryTerm));
  assert.throws(broken(logIndex(4), 3), /does not follow/);
  assert.throws(broken(logIndex(2), 3), /does not follow/);
  assert.throws(broken(logIndex(3), 2), /terms never decrease/);
  assert.throws(() => shape.truncateAfter(logIndex(3)), /can't truncate/);
});

test('the constructor refuses starts that do not ascend', () => {
  const starts = [
    { index: logIndex(5), term: term(2) },
    { index: logIndex(4), term: term(3) },
  ];
  assert.throws(() => new LogShape(EMPTY, starts, logIndex(9)), /ascend/);
  assert.throws(() => new LogShape(EMPTY, [{ index: logIndex(5), term: term(2) }], logIndex(4)), /has an entry/);
});
