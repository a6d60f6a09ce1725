import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIND_SINCE_VERSION, requireKind } from '../../src/replica/index.js';
import { FIRST_VERSION } from '../../src/wire/index.js';

test('a kind of record is refused until the version that it belongs to is active', () => {
  const since = { ...KIND_SINCE_VERSION, 'log-begin': 2 };
  assert.throws(() => requireKind('log-begin', 1, since), {
    code: 'UPGRADE_NEEDED',
    message: /a log-begin record needs version 2, and version 1 is active/,
  });
  requireKind('log-begin', 2, since);
  requireKind('log-begin', 3, since);
  requireKind('events', 1, since);
});

test('every kind of record of today belongs to the version that a cluster begins with', () => {
  assert.deepEqual([...new Set(Object.values(KIND_SINCE_VERSION))], [FIRST_VERSION]);
});
