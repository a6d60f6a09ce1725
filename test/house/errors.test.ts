import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERROR_DOCS, errorDocs } from '../../scripts/error-docs.js';
import { ERRORS } from '../../src/base/index.js';

const GRPC_STATUSES = new Set([
  ...[
    'CANCELLED',
    'UNKNOWN',
    'INVALID_ARGUMENT',
    'DEADLINE_EXCEEDED',
    'NOT_FOUND',
    'ALREADY_EXISTS',
    'PERMISSION_DENIED',
  ],
  ...[
    'RESOURCE_EXHAUSTED',
    'FAILED_PRECONDITION',
    'ABORTED',
    'OUT_OF_RANGE',
    'INTERNAL',
    'UNAVAILABLE',
    'DATA_LOSS',
    'UNAUTHENTICATED',
  ],
]);

test('docs/errors.md says what the error table says (npm run fix writes it)', () => {
  assert.equal(readFileSync(ERROR_DOCS, 'utf8'), errorDocs());
});

for (const [code, row] of Object.entries(ERRORS)) {
  test(`${code} maps to a gRPC status, an HTTP status and an exit code that exist`, () => {
    assert.ok(GRPC_STATUSES.has(row.grpc), row.grpc);
    assert.ok(row.http >= 400 && row.http < 600, String(row.http));
    // 2 is the command line's own, 130 an interrupted produce's.
    assert.ok([1, 3, 4].includes(row.exit), String(row.exit));
    assert.match(row.meaning, /^[A-Z].*\.$/);
    assert.ok(!row.meaning.includes('|'), 'a | would break the table');
  });
}

test('an unknown outcome is not called retryable', () => {
  assert.equal(ERRORS.OUTCOME_UNKNOWN.retryable, false);
  assert.equal(ERRORS.DEADLINE_EXCEEDED.retryable, false);
  assert.equal(ERRORS.OUTCOME_UNKNOWN.exit, 4);
});
