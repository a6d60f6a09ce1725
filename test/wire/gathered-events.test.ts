import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { actorId, counter } from '../../src/base/index.js';
import type { Event } from '../../src/event/index.js';
import { GatheredEvents, openAllGathered, packGathered } from '../../src/wire/index.js';
import { anyNewEvent, normalised } from './event-arbitrary.js';

const anyEvents: fc.Arbitrary<Event[]> = fc
  .array(
    fc.tuple(
      anyNewEvent,
      fc.integer({ min: 1, max: 1000 }),
      fc.constantFrom(1, 2, 65535),
      fc.constantFrom(0, 1_700_000_000_000),
    ),
    {
      minLength: 1,
      maxLength: 20,
    },
  )
  .map((parts) => {
    let last = 2 ** 40;
    return parts.map(([event, step, actor, timestampMs]) => {
      last += step;
      const { parentId, type, contentType, metadata } = event;
      return {
        ...event,
        id: { counter: counter(last), actor: actorId(actor) },
        timestampMs,
        parentId,
        type,
        contentType,
        metadata,
      };
    });
  });

const comparable = (events: readonly Event[]): unknown[] =>
  events.map((event) => [event.id, event.timestampMs, normalised(event)]);

test('gathered events are what was packed', () => {
  fc.assert(
    fc.property(anyEvents, anyEvents, (first, second) => {
      const bytes = Buffer.concat([packGathered(first), packGathered(second)]);
      const [one, two, ...others] = openAllGathered(bytes);
      assert.deepEqual(comparable(one?.toEvents() ?? []), comparable(first));
      assert.deepEqual(comparable(two?.toEvents() ?? []), comparable(second));
      assert.equal(others.length, 0);
      assert.equal(two?.firstCounter, second[0]?.id.counter);
      assert.equal(two?.lastCounter, second.at(-1)?.id.counter);
    }),
    { numRuns: 200 },
  );
});

test('any byte of gathered events that is changed or missing is found', () => {
  const event = {
    namespace: '/a',
    timestampMs: 7,
    parentId: undefined,
    type: 'T',
    contentType: undefined,
    metadata: undefined,
  };
  const bytes = packGathered([
    { ...event, id: { counter: counter(5), actor: actorId(1) }, data: Buffer.from('one') },
    { ...event, id: { counter: counter(9), actor: actorId(2) }, data: Buffer.from('two') },
  ]);
  for (let at = 0; at < bytes.byteLength; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 0x10;
    assert.throws(() => GatheredEvents.open(changed), { code: 'DATA_LOSS' }, `byte ${at}`);
    assert.throws(() => GatheredEvents.open(bytes.subarray(0, at)), { code: 'DATA_LOSS' }, `${at} bytes`);
  }
});
