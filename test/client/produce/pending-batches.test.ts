import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError } from '../../../src/base/index.js';
import { PendingBatches } from '../../../src/client/produce/pending-batches.js';
import { PendingCall } from '../../../src/client/produce/pending-call.js';

const ANSWER_MS = 100;

function pendingWith(deadlineMs: number): { pending: PendingBatches; call: PendingCall } {
  const pending = new PendingBatches({ callsPerBatch: 10, onEmpty: () => undefined });
  const call = new PendingCall([{ namespace: '/a', data: Buffer.from('1') }], 10, deadlineMs);
  pending.calls.add(call);
  return { pending, call };
}

/** Sends the next batch and has it refused: certainly not proposed. */
function refuse(pending: PendingBatches, nowMs: number): boolean {
  const sent = pending.sendNext(nowMs, ANSWER_MS);
  if (sent === undefined) return false;
  pending.answered(sent.requestId);
  pending.putBack(sent.batch);
  return true;
}

test('what was refused is sent again only while there is time for the answer', () => {
  const { pending, call } = pendingWith(1000);
  assert.ok(refuse(pending, 0));
  assert.ok(refuse(pending, 899));
  assert.equal(refuse(pending, 900), false, 'the last attempt would have an unknown outcome');
  const outcomes: (boolean | undefined)[] = [];
  call.promise.catch(() => undefined);
  pending.expire(1000, (batch) => {
    outcomes.push(batch?.maybeProposed);
    return new FlotillaError('NO_LEADER', 'expired');
  });
  assert.deepEqual(outcomes, [false]);
});

test('a first attempt, and one after an unknown outcome, may be late', () => {
  const { pending } = pendingWith(1000);
  const first = pending.sendNext(950, ANSWER_MS);
  assert.ok(first !== undefined);
  pending.answered(first.requestId);
  first.batch.maybeProposed = true;
  pending.putBack(first.batch);
  assert.ok(pending.sendNext(990, ANSWER_MS) !== undefined);
});

test('what all its callers have given up on does not hold up what comes after it', () => {
  const { pending, call } = pendingWith(1000);
  assert.ok(refuse(pending, 0));
  call.promise.catch(() => undefined);
  pending.expire(1000, () => new FlotillaError('NO_LEADER', 'expired'));
  const later = new PendingCall([{ namespace: '/a', data: Buffer.from('2') }], 10, 2000);
  pending.calls.add(later);
  assert.deepEqual(pending.sendNext(1001, ANSWER_MS)?.batch.waitingCalls, [later]);
});
