import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError, LIMITS } from '../../../src/base/index.js';
import { PendingCall, PendingCalls } from '../../../src/client/produce/pending-call.js';

test('calls beyond the hard bound are refused with TOO_MANY_REQUESTS, and taken again when others are answered', () => {
  const calls = new PendingCalls();
  const big = new PendingCall([], LIMITS.clientPendingBytes, 0);
  calls.add(big);
  assert.equal(calls.writable, false);
  assert.throws(
    () => calls.add(new PendingCall([], 1, 0)),
    (error) => error instanceof FlotillaError && error.code === 'TOO_MANY_REQUESTS',
  );
  calls.release(big);
  assert.equal(calls.writable, true);
  calls.add(new PendingCall([], 1, 0));
  assert.equal(calls.size, 1);
});

test('a call is settled once: the second answer does not count', async () => {
  const call = new PendingCall([], 1, 0);
  assert.equal(call.reject(new FlotillaError('OUTCOME_UNKNOWN', 'first')), true);
  assert.equal(call.reject(new FlotillaError('NO_LEADER', 'second')), false);
  await assert.rejects(call.promise, /first/);
});
