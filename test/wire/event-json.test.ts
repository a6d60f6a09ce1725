import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { actorId, counter } from '../../src/base/index.js';
import type { Event } from '../../src/event/index.js';
import { eventsOf, eventToJson, newEventFromJson, packBody } from '../../src/wire/index.js';
import { anyBatch, normalised, storedBatch } from './event-arbitrary.js';

const event: Event = {
  id: { counter: counter(2), actor: actorId(3) },
  parentId: { counter: counter(1), actor: actorId(3) },
  namespace: '/a',
  timestampMs: Date.UTC(2024, 1, 29, 12, 30, 15, 7),
  data: Buffer.from('hello'),
  type: 't',
  contentType: 'text/plain',
  metadata: new Map([['k', 'v']]),
};
const bare: Event = {
  ...event,
  parentId: undefined,
  type: undefined,
  contentType: undefined,
  metadata: undefined,
  data: new Uint8Array(),
};

describe('event as JSON', () => {
  test('has the keys of the contract in its order', () => {
    assert.equal(
      JSON.stringify(eventToJson(event)),
      '{"id":"0000000000000000000200003","parentId":"0000000000000000000100003","namespace":"/a",' +
        '"timestamp":"2024-02-29T12:30:15.007Z","type":"t","contentType":"text/plain",' +
        '"metadata":{"k":"v"},"data":"hello"}',
    );
  });

  test('leaves out what there is not', () => {
    assert.equal(
      JSON.stringify(eventToJson(bare)),
      '{"id":"0000000000000000000200003","namespace":"/a","timestamp":"2024-02-29T12:30:15.007Z"}',
    );
  });

  test('writes data as text where it is UTF-8, and else as Base64', () => {
    const dataKeys = (data: Uint8Array) => {
      const { data: text, dataBase64 } = eventToJson({ ...bare, data });
      return [text, dataBase64];
    };
    assert.deepEqual(dataKeys(Buffer.from('\ufeffé😀\0\n')), ['\ufeffé😀\0\n', undefined]);
    assert.deepEqual(dataKeys(Buffer.from([0xff, 0x00])), [undefined, '/wA=']);
    assert.deepEqual(dataKeys(Buffer.from([0xed, 0xa0, 0x80])), [undefined, '7aCA']);
    assert.deepEqual(dataKeys(Buffer.from([0xc3])), [undefined, 'ww==']);
  });

  test('keeps a key such as __proto__', () => {
    const line = JSON.stringify(eventToJson({ ...bare, metadata: new Map([['__proto__', 'x']]) }));
    assert.match(line, /"metadata":\{"__proto__":"x"\}/);
    assert.deepEqual(newEventFromJson(line, 'line 1').metadata, new Map([['__proto__', 'x']]));
  });

  test('an exported line is taken in again as it was, but for its id and time', () => {
    fc.assert(
      fc.property(anyBatch, (events) => {
        for (const each of eventsOf(storedBatch(packBody(events.slice(0, 5))))) {
          assert.deepEqual(normalised(newEventFromJson(JSON.stringify(eventToJson(each)), 'line 1')), normalised(each));
        }
      }),
      { numRuns: 80 },
    );
  });

  test('a line without a namespace takes the one that is given, its own comes first', () => {
    assert.equal(newEventFromJson('{}', 'line 1', '/given').namespace, '/given');
    assert.equal(newEventFromJson('{"namespace":"/own"}', 'line 1', '/given').namespace, '/own');
  });

  const refused: readonly (readonly [line: string, message: RegExp])[] = [
    ['', /^line 3: not JSON: /],
    ['{', /^line 3: not JSON: /],
    ['[]', /^line 3: not a JSON object/],
    ['null', /^line 3: not a JSON object/],
    ['"x"', /^line 3: not a JSON object/],
    ['{}', /^line 3\.namespace: it is missing/],
    ['{"namespace":1}', /^line 3\.namespace: it must be a string/],
    ['{"namespace":"/a","Data":"x"}', /^line 3: the key "Data" is unknown: write id, parentId,/],
    ['{"namespace":"/a","__proto__":{}}', /^line 3: the key "__proto__" is unknown/],
    ['{"namespace":"/a","parentId":"4."}', /^line 3\.parentId: "4\." is not an event id/],
    ['{"namespace":"/a","parentId":null}', /^line 3\.parentId: it must be a string/],
    ['{"namespace":"/a","type":{}}', /^line 3\.type: it must be a string/],
    ['{"namespace":"/a","metadata":[]}', /^line 3\.metadata: it must be an object/],
    ['{"namespace":"/a","metadata":{"k":1}}', /^line 3\.metadata: the value of "k" must be a string/],
    ['{"namespace":"/a","data":{}}', /^line 3\.data: it must be a string/],
    ['{"namespace":"/a","data":"\\ud800"}', /^line 3\.data: it holds a lone surrogate/],
    ['{"namespace":"/a","data":"","dataBase64":""}', /^line 3: data and dataBase64 are given/],
    ['{"namespace":"/a","dataBase64":"*"}', /^line 3\.dataBase64: it is not Base64/],
    ['{"namespace":"/a","dataBase64":"YQ"}', /^line 3\.dataBase64: it is not Base64/],
    ['{"namespace":"/a","dataBase64":"YR=="}', /^line 3\.dataBase64: it is not Base64/],
    ['{"namespace":"/a","dataBase64":"YQ== "}', /^line 3\.dataBase64: it is not Base64/],
    ['['.repeat(100_000), /^line 3: not JSON/],
  ];
  for (const [line, message] of refused) {
    test(`refuses ${JSON.stringify(line.slice(0, 60))}`, () => {
      assert.throws(() => newEventFromJson(line, 'line 3'), { code: 'INVALID_ARGUMENT', message });
    });
  }
});
