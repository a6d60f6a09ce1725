import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { FlotillaError, LIMITS, present } from '../../src/base/index.js';
import {
  decodeScanned,
  encodeMessage,
  type MessageSchema,
  proto,
  requestSchemas,
  scanMessage,
} from '../../src/wire/index.js';

const schemas = requestSchemas(readFileSync(new URL('../../proto/flotilla.binpb', import.meta.url)));
const schemaOf = (method: string): MessageSchema => present(schemas.get(`/flotilla.v1.${method}`), method);
const APPEND = schemaOf('EventService/Append');

const scan = (
  bytes: Uint8Array | readonly number[],
  schema = APPEND,
  fieldsMax: number = LIMITS.requestFields,
): number | undefined => scanMessage(schema, Uint8Array.from(bytes), fieldsMax);
const malformed = (bytes: readonly number[], schema = APPEND): void =>
  assert.throws(() => scan(bytes, schema), {
    code: 'INVALID_ARGUMENT',
    message: /^the message is not well-formed protobuf: ./,
  });

const newEvent = fc.record({
  namespace: fc.string({ unit: 'grapheme' }),
  parentId: fc.string(),
  data: fc.uint8Array(),
  type: fc.string(),
  contentType: fc.string(),
  metadata: fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 4 }).map((pairs) => new Map(pairs)),
});
const appendRequest: fc.Arbitrary<proto.AppendRequest> = fc.record({
  stream: fc.string(),
  events: fc.array(newEvent, { maxLength: 8 }),
  packed: fc.option(fc.record({ body: fc.uint8Array(), count: fc.nat(), checksum: fc.nat() }), { nil: undefined }),
  producer: fc.option(
    fc.record({
      producerId: fc.maxSafeNat(),
      epoch: fc.nat(),
      sequence: fc.maxSafeNat(),
      incarnation: fc.string(),
      firstSentMsAgo: fc.maxSafeNat(),
      bornAfter: fc.maxSafeNat(),
    }),
    { nil: undefined },
  ),
});

/**
 * The grammar of protobuf once more, by another way than the scan: recursive, and
 * each level on a slice of its own, so that nothing can reach beyond its end.
 */
function wellFormed(bytes: Uint8Array, schema: MessageSchema): boolean {
  try {
    return walk(new BinaryReader(bytes), schema, 0);
  } catch {
    return false;
  }
}

/** Up to the end of the group, or for group 0 of the bytes. */
function walk(reader: BinaryReader, schema: MessageSchema | undefined, group: number): boolean {
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, type] = reader.tag();
    if (tooWide(reader, start)) return false;
    if (type === WireType.EndGroup) return number === group;
    const at = reader.pos;
    if (type === WireType.StartGroup) {
      if (!walk(reader, undefined, number)) return false;
    } else if (type === WireType.LengthDelimited) {
      const bytes = reader.bytes();
      if (tooWide(reader, at, reader.pos - bytes.byteLength)) return false;
      const inner = schema?.fields[number]?.message;
      if (inner !== undefined && !walk(new BinaryReader(bytes), inner, 0)) return false;
    } else {
      reader.skip(type, number);
      if (type === WireType.Varint && reader.pos - at > 10) return false;
    }
  }
  return group === 0;
}

/** Whether a tag or a length says more than 32 bits, of which the reader takes the lower ones. */
function tooWide(reader: BinaryReader, start: number, end = reader.pos): boolean {
  const bytes: unknown = Reflect.get(reader, 'buf');
  assert.ok(bytes instanceof Uint8Array);
  return end - start > 5 || (end - start === 5 && (bytes[end - 1] ?? 0) > 0x0f);
}

test('whatever is encoded passes, and is the same afterwards', () => {
  fc.assert(
    fc.property(appendRequest, (request) => {
      const bytes = encodeMessage(proto.AppendRequest, request);
      assert.notEqual(scan(bytes), undefined);
      assert.deepEqual(encodeMessage(proto.AppendRequest, decodeScanned(proto.AppendRequest, bytes)), bytes);
    }),
    { numRuns: 300 },
  );
});

test('a message with some bytes changed, put in or cut off is refused exactly where it is no longer one', () => {
  let refused = 0;
  const change = fc.record({ at: fc.nat(), remove: fc.nat({ max: 2 }), put: fc.uint8Array({ maxLength: 3 }) });
  fc.assert(
    fc.property(appendRequest, fc.array(change, { minLength: 1, maxLength: 3 }), (request, changes) => {
      let bytes = [...encodeMessage(proto.AppendRequest, request)];
      for (const { at, remove, put } of changes) bytes = bytes.toSpliced(at % (bytes.length + 1), remove, ...put);
      const passes = wellFormed(Uint8Array.from(bytes), APPEND);
      if (!passes) refused++;
      try {
        scan(bytes);
        assert.equal(passes, true, `${bytes} passes`);
      } catch (error) {
        if (!(error instanceof FlotillaError)) throw error;
        // Values that are refused stand in messages that are well-formed.
        assert.equal(passes && /well-formed/.test(error.message), false, `${bytes}: ${error.message}`);
      }
    }),
    { numRuns: 2000 },
  );
  assert.ok(refused > 100, `only ${refused} of them were broken`);
});

const BROKEN: Readonly<Record<string, readonly number[]>> = {
  'a field that ends behind its message': [0x12, 0x04, 0x0a, 0x05, 0x61, 0x62, 0x63, 0x64, 0x65],
  'a number that ends behind its message': [0x12, 0x02, 0x50, 0x80, 0x01],
  'a fixed number that ends behind its message': [0x12, 0x03, 0x59, 0, 0, 0, 0, 0, 0, 0, 0],
  'an entry of a map that ends behind its event': [0x12, 0x04, 0x32, 0x04, 0x0a, 0x00, 0x12, 0x00],
  'a lone end of a group': [0x0c],
  'a lone end of a group within an event': [0x12, 0x05, 0x0a, 0x01, 0x61, 0x0c, 0x0a],
  'a group without an end': [0x5b, 0x08, 0x01],
  'a group that ends as another': [0x5b, 0x64],
  'a group that begins in an event and ends behind it': [0x12, 0x01, 0x5b, 0x5c],
  'a length of 2^32 + 1': [0x0a, 0x81, 0x80, 0x80, 0x80, 0x10, 0x61],
  'a length of 2^64 - 1': [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  'a tag of 2^32 + 10': [0x8a, 0x80, 0x80, 0x80, 0x10, 0x00],
  'field 0': [0x00, 0x00],
  'wire type 6': [0x0e],
  'wire type 7': [0x0f],
  'a number of eleven bytes': [0x50, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  'groups nested 101 deep': [...new Array<number>(101).fill(0x5b), ...new Array<number>(101).fill(0x5c)],
};

for (const [what, bytes] of Object.entries(BROKEN)) {
  test(`refused: ${what}`, () => malformed(bytes));
}

test('fields that are not known are skipped, of every wire type and within groups', () => {
  const unknown = [
    0x50, 0x80, 0x01, 0x59, 1, 2, 3, 4, 5, 6, 7, 8, 0x52, 2, 0xff, 0xff, 0x55, 1, 2, 3, 4, 0x5b, 0x08, 0x01, 0x63, 0x64,
    0x5c,
  ];
  assert.notEqual(scan(unknown), undefined);
  const event = [0x12, unknown.length + 3, ...unknown, 0x0a, 0x01, 0x61];
  assert.notEqual(scan(event), undefined);
  assert.deepEqual(
    decodeScanned(proto.AppendRequest, Uint8Array.from(event)).events.map(({ namespace }) => namespace),
    ['a'],
  );
});

test('events and pairs of metadata are counted, wherever they stand, before anything is made of them', () => {
  const many = (pair: readonly number[], count: number): Uint8Array =>
    Buffer.alloc(pair.length * count, Uint8Array.from(pair));
  const scanAll = (bytes: Uint8Array): number | undefined => scanMessage(APPEND, bytes, LIMITS.batchRequestFields);
  assert.equal(scanAll(many([0x12, 0x00], LIMITS.eventsPerBatch)), LIMITS.eventsPerBatch);
  const tooMany = {
    code: 'INVALID_ARGUMENT',
    message: /^events: there are more than the 65536 that one batch may have$/,
  };
  assert.throws(() => scanAll(many([0x12, 0x00], LIMITS.eventsPerBatch + 1)), tooMany);
  // Four empty pairs an event are as many as there may be; five are not.
  const event = (pairs: number): number[] => [0x12, 2 * pairs, ...new Array<number[]>(pairs).fill([0x32, 0x00]).flat()];
  assert.notEqual(scanAll(many(event(4), LIMITS.metadataPairsPerBatch / 4)), undefined);
  const pairs = { code: 'INVALID_ARGUMENT', message: /^events: they have more than the 262144 pairs of metadata / };
  assert.throws(() => scanAll(many(event(5), LIMITS.metadataPairsPerBatch / 4)), pairs);
});

test('with more fields than asked for the scan stops', () => {
  const bytes = Buffer.alloc(20_000, Uint8Array.from([0x0a, 0x00]));
  assert.equal(scan(bytes, APPEND, 10_000), 10_000);
  assert.equal(scan(bytes, APPEND, 9_999), undefined);
});

test('a number above 2^53 - 1 is refused by its name, and as a limit means none', () => {
  const wide = (tag: number, value: bigint): number[] => [...new BinaryWriter().uint32(tag).uint64(value).finish()];
  const stamp = wide(0x08, 2n ** 53n);
  assert.throws(() => scan([0x22, stamp.length, ...stamp]), {
    code: 'INVALID_ARGUMENT',
    message: /^producer_id: 9007199254740992 /,
  });
  const READ = schemaOf('EventService/Read');
  const read = (bytes: number[]): proto.ReadRequest => {
    assert.notEqual(scan(bytes, READ), undefined);
    return decodeScanned(proto.ReadRequest, Uint8Array.from(bytes));
  };
  for (const value of [2n ** 53n, 2n ** 63n - 1n]) {
    assert.equal(read(wide(0x20, value)).limit, Number.MAX_SAFE_INTEGER);
    assert.equal(read(wide(0x78, value)).last, Number.MAX_SAFE_INTEGER);
    assert.throws(() => scan(wide(0x60, value), READ), { message: /^since_ms: / });
  }
  assert.equal(read(wide(0x20, 2n ** 53n - 1n)).limit, Number.MAX_SAFE_INTEGER);
  assert.equal(read(wide(0x20, BigInt.asUintN(64, -5n))).limit, -5);
});

test('every request has a schema in which no number repeats: as one field it would be many', () => {
  assert.ok(schemas.size > 15);
  for (const [path, schema] of schemas)
    for (const each of reachable(schema)) assert.equal(each.packedNumbers, false, path);
});

function reachable(schema: MessageSchema, found = new Set<MessageSchema>()): Set<MessageSchema> {
  if (found.has(schema)) return found;
  found.add(schema);
  for (const field of schema.fields) if (field?.message !== undefined) reachable(field.message, found);
  return found;
}
