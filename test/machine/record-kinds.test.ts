import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIRST_VERSION, RECORD_KINDS, recordKindOf, refusalOfKind } from '../../src/machine/index.js';

test('a kind of record is refused until the version that it belongs to is active', () => {
  const refusal = refusalOfKind('log-begin', 1, { since: 2 });
  assert.equal(refusal?.code, 'UPGRADE_NEEDED');
  assert.match(refusal.message, /a log-begin record needs version 2, and version 1 is active/);
  assert.equal(refusalOfKind('log-begin', 2, { since: 2 }), undefined);
  assert.equal(refusalOfKind('log-begin', 3, { since: 2 }), undefined);
});

test('every kind of record of today belongs to the version that a cluster begins with', () => {
  assert.deepEqual([...new Set(Object.values(RECORD_KINDS).map(({ since }) => since))], [FIRST_VERSION]);
});

test('no two kinds of records have one code', () => {
  for (const [kind, { code }] of Object.entries(RECORD_KINDS)) assert.equal(recordKindOf(code), kind);
});
