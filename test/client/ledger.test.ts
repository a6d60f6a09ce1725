import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError } from '../../src/base/index.js';
import { Ledger } from '../../src/client/ledger.js';
import { PendingCall } from '../../src/client/pending-call.js';

const ANSWER_MS = 100;

function ledgerWith(deadlineMs: number): { ledger: Ledger; call: PendingCall } {
  const ledger = new Ledger(() => undefined);
  const call = new PendingCall([{ namespace: '/a', data: Buffer.from('1') }], 10, deadlineMs);
  ledger.calls.add(call);
  return { ledger, call };
}

/** Sends the next batch and has it refused: certainly not proposed. */
function refuse(ledger: Ledger, nowMs: number): boolean {
  const sent = ledger.sendNext(nowMs, ANSWER_MS);
  if (sent === undefined) return false;
  ledger.answered(sent.requestId);
  ledger.putBack(sent.batch);
  return true;
}

test('what was refused is sent again only while there is time for the answer', () => {
  const { ledger, call } = ledgerWith(1000);
  assert.ok(refuse(ledger, 0));
  assert.ok(refuse(ledger, 899));
  assert.equal(refuse(ledger, 900), false, 'the last attempt would have an unknown outcome');
  const outcomes: boolean[] = [];
  call.promise.catch(() => undefined);
  ledger.expire(1000, (mayBeProposed) => {
    outcomes.push(mayBeProposed);
    return new FlotillaError('NO_LEADER', 'expired');
  });
  assert.deepEqual(outcomes, [false]);
});

test('a first attempt, and one after an unknown outcome, may be late', () => {
  const { ledger } = ledgerWith(1000);
  const first = ledger.sendNext(950, ANSWER_MS);
  assert.ok(first !== undefined);
  ledger.answered(first.requestId);
  first.batch.maybeProposed = true;
  ledger.putBack(first.batch);
  assert.ok(ledger.sendNext(990, ANSWER_MS) !== undefined);
});

test('what all its callers have given up on does not hold up what comes after it', () => {
  const { ledger, call } = ledgerWith(1000);
  assert.ok(refuse(ledger, 0));
  call.promise.catch(() => undefined);
  ledger.expire(1000, () => new FlotillaError('NO_LEADER', 'expired'));
  const later = new PendingCall([{ namespace: '/a', data: Buffer.from('2') }], 10, 2000);
  ledger.calls.add(later);
  assert.deepEqual(ledger.sendNext(1001, ANSWER_MS)?.batch.waitingCalls, [later]);
});
