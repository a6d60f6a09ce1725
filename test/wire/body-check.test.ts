import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { FlotillaError } from '../../src/base/index.js';
import { checkNewEvent, type NewEvent } from '../../src/event/index.js';
import { checkPackedBody, eventsOf, type PackedBody, packBody } from '../../src/wire/index.js';
import { anyBatch, storedBatch } from './event-arbitrary.js';

const limits = { eventDataBytes: 1000 };
const packr = new Packr({ useRecords: false });

function packedOf(body: Uint8Array, count: number): PackedBody {
  return { body, count, checksum: crc32(body) };
}

/** Two events, `/a` with `x` and `/b` with `yz`, with other columns where given. */
function twoEvents(columns: Readonly<Record<number, unknown>>): PackedBody {
  const standard = [
    1,
    2,
    ['/a', '/b'],
    Buffer.from([0, 1]),
    Buffer.from([1, 0, 0, 0, 2, 0, 0, 0]),
    Buffer.from('xyz'),
    null,
    null,
    null,
    null,
  ];
  return packedOf(packr.pack(standard.map((column, at) => (at in columns ? columns[at] : column))), 2);
}

describe('a packed body that enters', () => {
  test('passes where its events do', () => {
    fc.assert(
      fc.property(anyBatch, (events) => checkPackedBody(packBody(events), limits)),
      { numRuns: 100 },
    );
    checkPackedBody(twoEvents({}), limits);
  });

  test('passes only where packing its events gives the same bytes, and each of them would pass', () => {
    const change = fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }), insert: fc.boolean() });
    let passed = 0;
    fc.assert(
      fc.property(anyBatch, fc.array(change, { maxLength: 2 }), (events, changes) => {
        let body = Buffer.from(packBody(events.slice(0, 6)).body);
        for (const { at, value, insert } of changes) {
          const offset = at % body.byteLength;
          body = Buffer.concat([
            body.subarray(0, offset),
            Buffer.from([value]),
            body.subarray(offset + (insert ? 0 : 1)),
          ]);
        }
        const packed = packedOf(body, Math.min(events.length, 6));
        try {
          checkPackedBody(packed, limits);
        } catch (error) {
          assert.ok(error instanceof FlotillaError, String(error));
          assert.ok(error.code === 'INVALID_ARGUMENT' || error.code === 'MESSAGE_TOO_LARGE');
          return;
        }
        passed++;
        const decoded = eventsOf(storedBatch(packed));
        for (const event of decoded) checkNewEvent(event, limits, 'event');
        assert.deepEqual(packBody(decoded).body, body);
      }),
      { numRuns: 1200 },
    );
    assert.ok(passed > 120, `only ${passed} bodies passed: the property says little`);
  });

  const events = (parts: Partial<NewEvent>): PackedBody =>
    packBody([
      { namespace: '/a', data: Buffer.from('x') },
      { namespace: '/a', data: Buffer.from('yz'), ...parts },
    ]);
  const longText = 'a'.repeat(8193);
  const refused: readonly (readonly [what: string, packed: PackedBody, message: RegExp, code?: string])[] = [
    ['another checksum', { ...twoEvents({}), checksum: 1 }, /^packed\.checksum: /],
    ['another count', { ...twoEvents({}), count: 3 }, /^packed\.count: it is 3, but the body has 2 events/],
    ['a system namespace', events({ namespace: '/$a' }), /^events\[1\]\.namespace: .*the system's/],
    ['a namespace with a control character', events({ namespace: '/\n' }), /^events\[1\]\.namespace: .*control/],
    ['an empty namespace', events({ namespace: '' }), /^events\[1\]\.namespace: .*empty/],
    ['a long namespace', events({ namespace: 'a'.repeat(1025) }), /^events\[1\]\.namespace: .*1024/],
    ['an event too large', events({ data: Buffer.alloc(1001) }), /^events\[1\]\.data: 1001 bytes/, 'MESSAGE_TOO_LARGE'],
    [
      'events too large',
      packBody([{ namespace: '/a', data: Buffer.alloc(1001) }]),
      /^events\[0\]\.data: 1001 bytes/,
      'MESSAGE_TOO_LARGE',
    ],
    ['a long type', events({ type: longText }), /^events\[1\]: .*8193 bytes/],
    ['a long content type', events({ contentType: longText }), /^events\[1\]: .*8193 bytes/],
    ['long metadata', events({ metadata: new Map([['k', 'a'.repeat(8192)]]) }), /^events\[1\]: .*8193 bytes/],
    [
      'attributes that are long only together',
      events({ type: 'a'.repeat(5000), contentType: 'a'.repeat(5000) }),
      /^events\[1\]: .*10000 bytes/,
    ],
    ['NUL in a type', events({ type: '\0' }), /^events\[1\]\.type: .*NUL/],
    ['NUL in metadata', events({ metadata: new Map([['a', '\0']]) }), /^events\[1\]\.metadata: .*NUL/],
    ['namespaces out of order', twoEvents({ 3: Buffer.from([1, 0]) }), /order of their first appearance/],
    ['a namespace that no event has', twoEvents({ 3: Buffer.from([0, 0]) }), /no event uses/],
    ['a namespace twice', twoEvents({ 2: ['/a', '/a'] }), /same text twice/],
    [
      'equal lengths one by one',
      twoEvents({ 4: Buffer.from([2, 0, 0, 0, 2, 0, 0, 0]), 5: Buffer.from('wxyz') }),
      /not written as one number/,
    ],
    ['parents without any', twoEvents({ 6: Buffer.alloc(20) }), /parents are a column without any/],
    ['types without any', twoEvents({ 7: [[''], null] }), /types are a column without any/],
    ['types out of order', twoEvents({ 7: [['a', 'b'], Buffer.from([1, 0])] }), /types are not in the order/],
    [
      'content types that repeat',
      twoEvents({ 8: [['a', 'a'], Buffer.from([0, 1])] }),
      /content types have the same text twice/,
    ],
    ['metadata without any', twoEvents({ 9: [null, null] }), /metadata is a column without any/],
    ['metadata unsorted', twoEvents({ 9: [null, ['b', '', 'a', '']] }), /metadata of event 1 is not sorted/],
    ['a key twice', twoEvents({ 9: [null, ['a', '1', 'a', '2']] }), /metadata of event 1 is not sorted/],
    ['a record instead of an array', packedOf(new Packr().pack({ version: 1 }), 1), /^packed\.body: /],
    ['nothing', packedOf(new Uint8Array(), 1), /^packed\.body: /],
  ];
  for (const [what, packed, message, code] of refused) {
    test(`is refused with ${what}`, () => {
      assert.throws(() => checkPackedBody(packed, limits), {
        name: 'FlotillaError',
        code: code ?? 'INVALID_ARGUMENT',
        message,
      });
    });
  }

  test('a pair of attributes that was fine once does not excuse another', () => {
    const data = new Uint8Array();
    const long = 'a'.repeat(8000);
    const packed = packBody([
      { namespace: '/a', data, type: long },
      { namespace: '/a', data, contentType: long },
      { namespace: '/a', data, type: long, contentType: long },
    ]);
    assert.throws(() => checkPackedBody(packed, limits), { message: /^events\[2\]: / });
  });
});
