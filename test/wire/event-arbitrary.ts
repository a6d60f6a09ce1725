import fc from 'fast-check';
import { actorId, counter } from '../../src/base/index.js';
import {
  BATCH_HEADER_BYTES,
  type NewEvent,
  namespaceProblem,
  readBatch,
  type StoredBatch,
  writeBatchHeader,
} from '../../src/event/index.js';
import type { PackedBody } from '../../src/wire/index.js';

/** Any code point that is text by itself. (fast-check's own unit takes a second to set up.) */
const character = fc
  .integer({ min: 0, max: 0x10ffff })
  .filter((codePoint) => codePoint < 0xd800 || codePoint > 0xdfff)
  .map((codePoint) => String.fromCodePoint(codePoint));
const text = fc
  .oneof(
    fc.constantFrom(
      '',
      'a',
      '\ufeffx',
      `\ufeff${'y'.repeat(100)}`,
      '\ufffd',
      '__proto__',
      'é'.repeat(40),
      'z'.repeat(300),
    ),
    fc.array(character, { maxLength: 8 }).map((characters) => characters.join('')),
  )
  .filter((each) => !each.includes('\0'));
const namespace = fc.oneof(
  fc.constantFrom('/a', '/b', '/c/d', '\ufeff/a', `\ufeff${'n'.repeat(80)}`, '/é', `/${'日'.repeat(90)}`),
  text.filter((each) => namespaceProblem(each) === undefined),
);
const eventId = fc.record(
  {
    counter: fc
      .oneof(
        fc.constant(1),
        fc.maxSafeNat().filter((value) => value > 0),
      )
      .map(counter),
    actor: fc.integer({ min: 1, max: 65535 }).map(actorId),
  },
  { noNullPrototype: true },
);
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, value);

/** Any event that passes `checkNewEvent`. */
export const anyNewEvent: fc.Arbitrary<NewEvent> = fc.record(
  {
    namespace,
    data: fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.constant(new Uint8Array(3)), fc.constant(new Uint8Array(300))),
    parentId: optional(eventId),
    type: optional(text),
    contentType: optional(text),
    metadata: optional(fc.array(fc.tuple(text, text), { maxLength: 4 }).map((pairs) => new Map(pairs))),
  },
  { noNullPrototype: true },
);

/** A batch of either kind: events that have little in common, or that share all but their data. */
export const anyBatch: fc.Arbitrary<readonly NewEvent[]> = fc.oneof(
  fc.array(anyNewEvent, { minLength: 1, maxLength: 12 }),
  fc
    .tuple(anyNewEvent, fc.integer({ min: 1, max: 40 }))
    .map(([event, count]) => Array.from({ length: count }, () => event)),
);

/** The batch as a leader would have stamped it. */
export function storedBatch(
  packed: PackedBody,
  header: { baseCounter?: number; actor?: number; timestampMs?: number; flags?: number; count?: number } = {},
): StoredBatch {
  const bytes = Buffer.alloc(BATCH_HEADER_BYTES + packed.body.byteLength);
  writeBatchHeader(bytes, 0, {
    flags: header.flags ?? 0,
    actor: actorId(header.actor ?? 1),
    count: header.count ?? packed.count,
    baseCounter: counter(header.baseCounter ?? 1),
    timestampMs: header.timestampMs ?? 1_700_000_000_000,
    producer: 0,
    epoch: 0,
    sequence: 0,
    bodyLength: packed.body.byteLength,
    bodyChecksum: packed.checksum,
  });
  bytes.set(packed.body, BATCH_HEADER_BYTES);
  const batch = readBatch(bytes, 0);
  if (batch === undefined) throw new Error('writeBatchHeader and readBatch disagree');
  return batch;
}

/** An event without what means the same: empty texts and maps are none, data are bytes, keys are sorted. */
export function normalised(event: NewEvent): unknown {
  const pairs = [...(event.metadata ?? [])].sort(([left], [right]) => (left < right ? -1 : 1));
  return {
    namespace: event.namespace,
    data: [...event.data],
    parentId: event.parentId,
    type: event.type || undefined,
    contentType: event.contentType || undefined,
    metadata: pairs.length === 0 ? undefined : pairs,
  };
}
