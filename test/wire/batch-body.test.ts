import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { unpack } from 'msgpackr';
import { AssertionFailure, actorId, counter, FlotillaError } from '../../src/base/index.js';
import type { NewEvent } from '../../src/event/index.js';
import { type BodyReader, openBody, packBody } from '../../src/wire/index.js';
import { anyBatch, normalised } from './event-arbitrary.js';

function readAll(reader: BodyReader): NewEvent[] {
  return Array.from({ length: reader.count }, (_, position) => ({
    namespace: reader.namespaceOf(position),
    data: reader.dataOf(position),
    parentId: reader.parentOf(position),
    type: reader.typeOf(position),
    contentType: reader.contentTypeOf(position),
    metadata: reader.metadataOf(position),
  }));
}

const plain = (namespace: string, data: string): NewEvent => ({ namespace, data: Buffer.from(data) });

describe('batch body', () => {
  test('gives back what was packed, whatever the events', () => {
    fc.assert(
      fc.property(anyBatch, (events) => {
        const packed = packBody(events);
        assert.equal(packed.count, events.length);
        assert.equal(packed.checksum, crc32(packed.body));
        const reader = openBody(packed.body);
        assert.deepEqual(readAll(reader).map(normalised), events.map(normalised));
        for (let position = 0; position < reader.count; position++) {
          assert.equal(reader.namespaces[reader.namespaceIndexOf(position)], reader.namespaceOf(position));
          assert.equal(reader.dataLengthOf(position), reader.dataOf(position).byteLength);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('is one MessagePack array of ten columns', () => {
    const { body } = packBody([
      {
        ...plain('/a', 'x'),
        type: 't',
        parentId: { counter: counter(258), actor: actorId(772) },
        metadata: new Map([['k', 'v']]),
      },
      plain('/b', 'yz'),
      plain('/a', ''),
    ]);
    const columns = unpack(body);
    assert.deepEqual(columns, [
      1,
      3,
      ['/a', '/b'],
      Buffer.from([0, 1, 0]),
      Buffer.from([1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]),
      Buffer.from('xyz'),
      Buffer.concat([Buffer.from([2, 1, 0, 0, 0, 0, 0, 0, 4, 3]), Buffer.alloc(20)]),
      [['t', ''], Buffer.from([0, 1, 1])],
      null,
      [['k', 'v'], null, null],
    ]);
  });

  test('is small where events are alike', () => {
    assert.deepEqual(unpack(packBody([plain('/a', 'xx'), plain('/a', 'yy')]).body), [
      1,
      2,
      ['/a'],
      null,
      2,
      Buffer.from('xxyy'),
      null,
      null,
      null,
      null,
    ]);
    assert.deepEqual(unpack(packBody([plain('/a', '')]).body), [
      1,
      1,
      ['/a'],
      null,
      0,
      Buffer.alloc(0),
      null,
      null,
      null,
      null,
    ]);
  });

  test('has the same bytes for the same events, however they came', () => {
    const metadata = [
      ['b', '1'],
      ['a', '2'],
      ['c', '3'],
    ] as const;
    const first = packBody([{ ...plain('/a', 'x'), type: '', metadata: new Map(metadata) }]);
    const second = packBody([{ ...plain('/a', 'x'), metadata: new Map([...metadata].reverse()) }]);
    assert.deepEqual(first.body, second.body);
    assert.deepEqual(
      packBody([{ ...plain('/a', 'x'), type: '', contentType: '', metadata: new Map() }]).body,
      packBody([plain('/a', 'x')]).body,
    );
  });

  for (const distinct of [1, 2, 255, 256, 257, 65536]) {
    test(`tells ${distinct} namespaces apart`, () => {
      const events = Array.from({ length: Math.max(distinct, 300) }, (_, at) =>
        plain(`/n/${at % distinct}`, String(at)),
      );
      const reader = openBody(packBody(events).body);
      assert.equal(reader.namespaces.length, distinct);
      for (const at of [0, 1, 254, 255, 256, 257, 299, events.length - 1]) {
        if (at >= events.length) continue;
        assert.equal(reader.namespaceOf(at), `/n/${at % distinct}`);
        assert.equal(Buffer.from(reader.dataOf(at)).toString(), String(at));
      }
    });
  }

  for (const bytes of [0, 127, 128, 255, 256, 65535, 65536, 100_000]) {
    test(`holds data of ${bytes} bytes`, () => {
      const data = Buffer.alloc(bytes, 7);
      const reader = openBody(packBody([plain('/a', 'first'), { namespace: '/a', data }]).body);
      assert.deepEqual(Buffer.from(reader.dataOf(1)), data);
      assert.deepEqual(Buffer.from(openBody(packBody([{ namespace: '/a', data }]).body).dataOf(0)), data);
    });
  }

  test('stands alone: packing the next one changes nothing', () => {
    const first = packBody([plain('/first', 'x'), plain('/x', 'yy')]);
    const copy = Buffer.from(first.body);
    for (let round = 0; round < 50; round++) packBody([plain(`/other/${round}`, 'z'.repeat(round))]);
    assert.deepEqual(Buffer.from(first.body), copy);
  });

  test('is opened at any place in a larger buffer, without a copy of its data', () => {
    const { body } = packBody([plain('/a', 'x'), plain('/b', 'yy')]);
    const larger = new Uint8Array(body.byteLength + 20);
    larger.set(body, 13);
    const reader = openBody(larger.subarray(13, 13 + body.byteLength));
    assert.equal(Buffer.from(reader.dataOf(1)).toString(), 'yy');
    assert.equal(reader.dataOf(1).buffer, larger.buffer);
  });

  test('of no events, or of more than a batch may have, is a mistake of ours', () => {
    assert.throws(() => packBody([]), AssertionFailure);
    assert.throws(() => packBody(Array.from({ length: 65537 }, () => plain('/a', ''))), AssertionFailure);
  });
});

describe('a body of any bytes', () => {
  /** Opens and reads everything: afterwards either all of it was possible or the body was refused at once. */
  function open(bytes: Uint8Array): void {
    let reader: BodyReader;
    try {
      reader = openBody(bytes);
    } catch (error) {
      assert.ok(error instanceof FlotillaError, String(error));
      assert.equal(error.code, 'INVALID_ARGUMENT');
      assert.match(error.message, /^packed\.body: not a batch body: /);
      return;
    }
    readAll(reader);
  }

  test('is read or refused: random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), open), { numRuns: 1000 });
  });

  test('is read or refused: bodies with bytes changed, cut out and put in', () => {
    const change = fc.record({ at: fc.nat(), remove: fc.nat(3), insert: fc.uint8Array({ maxLength: 3 }) });
    fc.assert(
      fc.property(anyBatch, fc.array(change, { minLength: 1, maxLength: 4 }), (events, changes) => {
        let bytes = Buffer.from(packBody(events.slice(0, 12)).body);
        for (const { at, remove, insert } of changes) {
          const offset = at % bytes.byteLength;
          bytes = Buffer.concat([bytes.subarray(0, offset), insert, bytes.subarray(offset + remove)]);
        }
        open(bytes);
      }),
      { numRuns: 1000 },
    );
  });

  test('is refused when cut anywhere, and when anything follows', () => {
    const { body } = packBody([
      {
        ...plain('/a', 'x'),
        type: 't',
        contentType: 'c',
        parentId: { counter: counter(1), actor: actorId(1) },
        metadata: new Map([['k', 'v']]),
      },
      plain('/b', 'yz'),
    ]);
    for (let length = 0; length < body.byteLength; length++) {
      assert.throws(() => openBody(body.subarray(0, length)), { code: 'INVALID_ARGUMENT' }, `${length} bytes`);
    }
    assert.throws(() => openBody(Buffer.concat([body, Buffer.from([0xc0])])), {
      code: 'INVALID_ARGUMENT',
      message: /1 bytes follow/,
    });
  });

  /** A body of one event of namespace `/a` and data `x`, with some of its columns put in as they stand. */
  function bodyWith(columns: Readonly<Record<number, string>>): Buffer {
    const standard = ['01', '01', '91a22f61', 'c0', '01', 'c40178', 'c0', 'c0', 'c0', 'c0'];
    return Buffer.from(`9a${standard.map((column, at) => columns[at] ?? column).join('')}`, 'hex');
  }

  test('the standard one of these tests is a body', () => {
    assert.deepEqual(bodyWith({}), packBody([plain('/a', 'x')]).body);
  });

  const wrong: readonly (readonly [what: string, columns: Readonly<Record<number, string>>])[] = [
    ['another version', { 0: '02' }],
    ['no events', { 1: '00', 5: 'c400' }],
    ['more events than a batch may have', { 1: 'ce00010001' }],
    ['a count that is a float', { 1: 'cb3ff0000000000000' }],
    ['a count that is negative', { 1: 'ff' }],
    ['a count of 64 bits', { 1: 'cf0000000000000001' }],
    ['a count in a longer form', { 1: 'cc01' }],
    ['a count in a yet longer form', { 1: 'cd0001' }],
    ['namespaces that are a map', { 2: '81a22f61c0' }],
    ['namespaces that are no array', { 2: 'a22f61' }],
    ['no namespaces', { 2: '90' }],
    ['more namespaces than events', { 2: '92a22f61a22f62', 3: 'c40100' }],
    ['an array in a longer form', { 2: 'dc0001a22f61' }],
    ['text in a longer form', { 2: '91d9022f61' }],
    ['text that is binary', { 2: '91c4022f61' }],
    ['invalid UTF-8', { 2: '91a22fff' }],
    ['UTF-8 of a lone surrogate', { 2: '91a42feda080' }],
    ['overlong UTF-8', { 2: '91a32fc0af' }],
    ['an index where there is one namespace', { 3: 'c40100' }],
    ['an index that points past the end', { 1: '02', 2: '92a22f61a22f62', 3: 'c4020002', 5: 'c4027879' }],
    ['an index that is too short', { 1: '02', 2: '92a22f61a22f62', 3: 'c40100', 5: 'c4027879' }],
    ['data shorter than its lengths', { 4: '02' }],
    ['data longer than its lengths', { 4: '00' }],
    ['lengths of another count', { 4: 'c4080100000000000000' }],
    ['binary in a longer form', { 5: 'c5000178' }],
    ['data that is text', { 5: 'a178' }],
    ['parents of another count', { 6: 'c400' }],
    ['a parent without an actor', { 6: 'c40a01000000000000000000' }],
    ['a parent without a counter', { 6: 'c40a00000000000000000100' }],
    ['a parent of 2^53', { 6: 'c40a00000000000020000100' }],
    ['a parent of 2^64 - 1', { 6: 'c40affffffffffffffff0100' }],
    ['types without an index', { 7: '91a174' }],
    ['no types at all in a column', { 7: '9290c0' }],
    ['metadata of another count', { 9: '90' }],
    ['metadata of an odd number', { 9: '9191a16b' }],
    ['metadata without any', { 9: '9190' }],
    ['metadata that is a map', { 9: '9181a16ba176' }],
    ['metadata of numbers', { 9: '91920102' }],
    ['an extension', { 2: '91d47201' }],
    ['a record definition', { 2: 'd4724091a161' }],
    ['a date', { 4: 'd6ff00000000' }],
    ['an array without its elements', { 2: 'ddffffffff' }],
    ['arrays in arrays without end', { 2: '91'.repeat(100_000) }],
  ];
  for (const [what, columns] of wrong) {
    test(`is refused with ${what}`, () => {
      assert.throws(() => openBody(bodyWith(columns)), { name: 'FlotillaError', code: 'INVALID_ARGUMENT' });
    });
  }

  test('lengths that add up only modulo 2^32 are refused', () => {
    const body = bodyWith({ 1: '02', 4: 'c408ffffffff02000000', 5: 'c40178' });
    assert.throws(() => openBody(body), { code: 'INVALID_ARGUMENT', message: /4294967297/ });
  });
});
