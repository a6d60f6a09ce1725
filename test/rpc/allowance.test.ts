import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError, LIMITS } from '../../src/base/index.js';
import { Allowance } from '../../src/rpc/index.js';
import { ManualClock } from '../support/manual-clock.js';

const REFUSAL = 'all of it is taken';

function allowance(amount: number): { allowance: Allowance; clock: ManualClock } {
  const clock = new ManualClock();
  return { clock, allowance: new Allowance({ clock, amount, refusal: REFUSAL }) };
}

/** Notes when a promise is kept. */
function noting(order: string[], name: string, taken: Promise<void> | undefined): void {
  if (taken === undefined) order.push(name);
  else
    void taken.then(
      () => order.push(name),
      (error: unknown) => order.push(`${name}: ${error instanceof FlotillaError ? error.code : error}`),
    );
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('what is left is given at once, and then in the order in which it was asked for', async () => {
  const { allowance: shared } = allowance(10);
  const order: string[] = [];
  noting(order, 'first', shared.take(10));
  noting(order, 'second', shared.take(1));
  noting(order, 'third', shared.take(5));
  await settled();
  assert.deepEqual(order, ['first']);
  shared.give(1);
  await settled();
  assert.deepEqual(order, ['first', 'second']);
  shared.give(10);
  await settled();
  noting(order, 'fourth', shared.take(1));
  assert.deepEqual(order, ['first', 'second', 'third', 'fourth']);
});

test('nobody overtakes those who wait, however little is asked for', async () => {
  const { allowance: shared } = allowance(1);
  const order: string[] = [];
  noting(order, 'first', shared.take(4));
  noting(order, 'second', shared.take(1));
  shared.give(1);
  noting(order, 'third', shared.take(0));
  await settled();
  assert.deepEqual(order, ['first'], 'three are still owed');
  shared.give(3);
  await settled();
  assert.deepEqual(order, ['first', 'second']);
  shared.give(1);
  await settled();
  assert.deepEqual(order, ['first', 'second', 'third']);
});

test('who waits in vain is refused, and who goes away is forgotten', async () => {
  const { allowance: shared, clock } = allowance(1);
  const order: string[] = [];
  const gone = new AbortController();
  noting(order, 'holder', shared.take(1));
  noting(order, 'gone', shared.take(1, gone.signal));
  noting(order, 'patient', shared.take(1));
  gone.abort();
  await settled();
  assert.deepEqual(order, ['holder', 'gone: CANCELLED']);
  assert.equal(clock.timers, 1, 'its timer went with it');
  clock.stall(LIMITS.readWaitMs);
  clock.runTimers();
  await settled();
  assert.deepEqual(order.slice(2), ['patient: TOO_MANY_REQUESTS']);
  shared.give(1);
  noting(order, 'next', shared.take(1));
  assert.deepEqual(order.slice(3), ['next'], 'nothing was given to those that had left');
  noting(order, 'too late', shared.take(1, gone.signal));
  await settled();
  assert.deepEqual(order.slice(4), ['too late: CANCELLED']);
});
