import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tableOf } from '../../cli/cluster.js';
import { escapeControls, escapeControlsInJson } from '../../cli/output.js';
import type { NodeStatus } from '../../src/client/index.js';

test('what could steer a terminal is escaped; line breaks and tabs stay', () => {
  assert.equal(escapeControls('a\x1b[31mb\x07\r\x7f\x9b\u202e\n\tö✓'), 'a\\x1b[31mb\\x07\\x0d\\x7f\\x9b\\u202e\n\tö✓');
  assert.deepEqual(JSON.parse(escapeControlsInJson(JSON.stringify({ data: 'a\x1b\x9b\x7f\u202e' }))), {
    data: 'a\x1b\x9b\x7f\u202e',
  });
  assert.match(escapeControlsInJson(JSON.stringify('\x9b\x7f')), /^"\\u009b\\u007f"$/);
});

test('the table of the members is aligned, and has dashes where nothing is known', () => {
  const up = {
    actorId: 1,
    address: '127.0.0.1:3000',
    role: 'leader',
    term: 3,
    commitIndex: 1200,
    lastIndex: 1201,
    lag: 0,
    reachable: true,
    version: '',
  } satisfies NodeStatus;
  const down = { ...up, actorId: 65535, address: 'b:1', role: undefined, reachable: false } satisfies NodeStatus;
  assert.equal(
    tableOf([up, down], false),
    [
      'ACTOR  ADDRESS         ROLE    TERM  COMMIT  LAST  LAG  REACHABLE',
      '1      127.0.0.1:3000  leader  3     1200    1201  0    yes',
      '65535  b:1             -       -     -       -     -    no',
      '',
    ].join('\n'),
  );
  assert.match(tableOf([up, down], true).replaceAll('\x1b', 'ESC'), /\nESC\[32m1 .*ESC\[0m\nESC\[31m65535/);
});
