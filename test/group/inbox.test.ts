import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inbox } from '../../src/group/inbox.js';

/** What happened, in order. */
function opened(): { readonly inbox: Inbox; readonly seen: string[]; readonly failures: unknown[] } {
  const inbox = new Inbox();
  const seen: string[] = [];
  const failures: unknown[] = [];
  inbox.open({ turn: () => void seen.push('turn'), failed: (error) => failures.push(error) });
  return { inbox, seen, failures };
}

test('each input is followed by a turn, and what is posted amid one comes after it', () => {
  const { inbox, seen } = opened();
  inbox.post(() => {
    seen.push('first');
    inbox.post(() => seen.push('second'));
    seen.push('rest of the first');
  });
  inbox.post();
  assert.deepEqual(seen, ['first', 'rest of the first', 'turn', 'second', 'turn', 'turn']);
});

test('the first failure ends it: it is told once, and nothing that waits is taken in', () => {
  const { inbox, seen, failures } = opened();
  const failure = new Error('a broken invariant');
  inbox.post(() => {
    inbox.post(() => seen.push('waited'));
    throw failure;
  });
  inbox.fail(new Error('another one'));
  assert.deepEqual([seen, failures], [[], [failure]]);
});

test('what is posted too late is not taken in, and its caller is told so', () => {
  const { inbox, seen } = opened();
  inbox.post(() => {
    inbox.post(() => seen.push('waited'));
    inbox.close();
  });
  assert.equal(inbox.post(), false);
  assert.deepEqual(seen, []);
});
