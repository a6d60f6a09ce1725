import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, logIndex, present, term } from '../../src/base/index.js';
import { Durability, type Outbound, type PersistStep } from '../../src/raft/durability.js';

const HARD_STATE = { term: term(1), vote: undefined };

function take(durability: Durability, lastIndex: number): PersistStep {
  return present(durability.takeStep(logIndex(lastIndex), HARD_STATE), 'there is something to write');
}

function message(label: number): Outbound {
  return { to: actorId(2), message: { type: 'timeout-now', term: term(label) } };
}

test('takeStep names what is not yet on its way, once only', () => {
  const durability = new Durability(logIndex(5));
  assert.equal(durability.takeStep(logIndex(5), HARD_STATE), undefined);
  const step = take(durability, 8);
  assert.deepEqual(step, {
    snapshotIndex: undefined,
    truncateAfter: undefined,
    fromIndex: 6,
    throughIndex: 8,
    hardState: undefined,
  });
  assert.equal(durability.takeStep(logIndex(9), HARD_STATE), undefined, 'one write at a time');
  assert.equal(durability.durableIndex, 5);
  durability.stepCompleted(step);
  assert.equal(durability.durableIndex, 8);
  assert.deepEqual(take(durability, 9).fromIndex, 9);
});

test('takeStep writes the hard state only where it changed', () => {
  const durability = new Durability(logIndex(0));
  durability.hardStateChanged();
  const step = take(durability, 0);
  assert.deepEqual(step, {
    snapshotIndex: undefined,
    truncateAfter: undefined,
    fromIndex: 1,
    throughIndex: 0,
    hardState: HARD_STATE,
  });
  durability.stepCompleted(step);
  assert.equal(durability.hardStateIsDurable, true);
  assert.equal(durability.takeStep(logIndex(0), HARD_STATE), undefined);
});

test('a truncation during a write takes back what that write makes durable', () => {
  const durability = new Durability(logIndex(5));
  const step = take(durability, 10);
  durability.truncatedAfter(logIndex(7));
  durability.stepCompleted(step);
  assert.equal(durability.durableIndex, 7, 'entries 8 to 10 on disk are of another history');
  assert.deepEqual(take(durability, 9), {
    snapshotIndex: undefined,
    truncateAfter: 7,
    fromIndex: 8,
    throughIndex: 9,
    hardState: undefined,
  });
});

test('a truncation below what is durable counts at once', () => {
  const durability = new Durability(logIndex(10));
  durability.truncatedAfter(logIndex(4));
  assert.equal(durability.durableIndex, 4);
  const step = take(durability, 4);
  assert.deepEqual(step, {
    snapshotIndex: undefined,
    truncateAfter: 4,
    fromIndex: 5,
    throughIndex: 4,
    hardState: undefined,
  });
});

test('two truncations before a write become the lower one', () => {
  const durability = new Durability(logIndex(10));
  durability.truncatedAfter(logIndex(8));
  durability.truncatedAfter(logIndex(3));
  durability.truncatedAfter(logIndex(6));
  assert.equal(take(durability, 7).truncateAfter, 3);
});

test('a truncation of what was never handed out needs no write', () => {
  const durability = new Durability(logIndex(5));
  durability.truncatedAfter(logIndex(5));
  assert.equal(durability.takeStep(logIndex(5), HARD_STATE), undefined);
});

test('hold keeps a message until the hard state that it speaks of is durable', () => {
  const durability = new Durability(logIndex(0));
  assert.deepEqual(durability.hold(message(0)), message(0));
  durability.hardStateChanged();
  assert.equal(durability.hold(message(1)), undefined);
  const first = take(durability, 0);
  durability.hardStateChanged();
  assert.equal(durability.hold(message(2)), undefined);
  assert.deepEqual(durability.release(), []);
  durability.stepCompleted(first);
  assert.deepEqual(durability.release(), [message(1)], 'the second one speaks of a state that is not on disk');
  assert.equal(durability.hardStateIsDurable, false);
  durability.stepCompleted(take(durability, 0));
  assert.deepEqual(durability.release(), [message(2)]);
  assert.deepEqual(durability.release(), []);
});

test('writes complete in the order in which they were handed out', () => {
  const durability = new Durability(logIndex(0));
  const step = take(durability, 3);
  assert.throws(() => durability.stepCompleted({ ...step }), /order/);
});
