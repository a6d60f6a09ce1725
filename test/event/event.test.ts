import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { actorId, counter } from '../../src/base/index.js';
import { checkNewEvent, type NewEvent } from '../../src/event/index.js';

const limits = { eventDataBytes: 1000 };
const event = (parts: Partial<NewEvent>): NewEvent => ({ namespace: '/a', data: new Uint8Array(), ...parts });

describe('new event', () => {
  const taken: readonly (readonly [what: string, parts: Partial<NewEvent>])[] = [
    ['the least there can be', {}],
    ['data of exactly the limit', { data: new Uint8Array(1000) }],
    [
      'everything',
      {
        parentId: { counter: counter(1), actor: actorId(2) },
        type: 'order',
        contentType: 'text/plain',
        metadata: new Map([['a', 'b']]),
      },
    ],
    [
      '8 KiB of attributes together',
      { type: 'a'.repeat(4096), contentType: 'é'.repeat(1024), metadata: new Map([['k', 'v'.repeat(2047)]]) },
    ],
    [
      'keys like any other',
      {
        metadata: new Map([
          ['__proto__', 'x'],
          ['', ''],
          ['constructor', ''],
        ]),
      },
    ],
    ['line breaks in metadata', { metadata: new Map([['note', 'a\nb\t']]) }],
  ];
  for (const [what, parts] of taken) test(`may have ${what}`, () => checkNewEvent(event(parts), limits, 'events[0]'));

  const refused: readonly (readonly [what: string, parts: Partial<NewEvent>, code: string, message: RegExp])[] = [
    ['a bad namespace', { namespace: '' }, 'INVALID_ARGUMENT', /^events\[3\]\.namespace: /],
    ['a system namespace', { namespace: '/$x' }, 'INVALID_ARGUMENT', /^events\[3\]\.namespace: /],
    [
      'a byte of data too many',
      { data: new Uint8Array(1001) },
      'MESSAGE_TOO_LARGE',
      /^events\[3\]\.data: 1001 bytes .* 1000 .*--max-event-bytes/,
    ],
    ['NUL in its type', { type: 'a\0' }, 'INVALID_ARGUMENT', /^events\[3\]\.type: .*NUL/],
    [
      'a lone surrogate in its content type',
      { contentType: '\ud800' },
      'INVALID_ARGUMENT',
      /^events\[3\]\.contentType: .*surrogate/,
    ],
    ['NUL in a key', { metadata: new Map([['a\0', 'b']]) }, 'INVALID_ARGUMENT', /^events\[3\]\.metadata: .*NUL/],
    [
      'a lone surrogate in a value',
      { metadata: new Map([['a', '\udc00']]) },
      'INVALID_ARGUMENT',
      /^events\[3\]\.metadata: .*surrogate/,
    ],
    [
      'a byte of attributes too many',
      { type: 'a'.repeat(4096), contentType: 'é'.repeat(1024), metadata: new Map([['k', 'v'.repeat(2048)]]) },
      'INVALID_ARGUMENT',
      /^events\[3\]: .* 8193 bytes .* 8192/,
    ],
  ];
  for (const [what, parts, code, message] of refused) {
    test(`may not have ${what}`, () => {
      assert.throws(() => checkNewEvent(event(parts), limits, 'events[3]'), { code, message });
    });
  }
});
