import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { eventFromProto, eventsOf, eventToProto, newEventFromProto, packBody, proto } from '../../src/wire/index.js';
import { anyBatch, normalised, storedBatch } from './event-arbitrary.js';

const message: proto.NewEvent = {
  namespace: '/a',
  parentId: '',
  data: new Uint8Array([1]),
  type: '',
  contentType: '',
  metadata: new Map(),
};

describe('event mapping', () => {
  test('empty fields of a message are absent', () => {
    assert.deepEqual(newEventFromProto(message, 'events[0]'), {
      namespace: '/a',
      data: new Uint8Array([1]),
      parentId: undefined,
      type: undefined,
      contentType: undefined,
      metadata: undefined,
    });
  });

  test('a parent id is taken in both forms, and refused by the name of its field', () => {
    assert.deepEqual(newEventFromProto({ ...message, parentId: '5.7' }, 'events[0]').parentId, {
      counter: 5,
      actor: 7,
    });
    assert.deepEqual(newEventFromProto({ ...message, parentId: '0000000000000000000500007' }, 'events[0]').parentId, {
      counter: 5,
      actor: 7,
    });
    assert.throws(() => newEventFromProto({ ...message, parentId: '7654' }, 'events[3]'), {
      code: 'INVALID_ARGUMENT',
      message: /^events\[3\]\.parent_id: /,
    });
  });

  test('an event comes back from its message the same', () => {
    fc.assert(
      fc.property(anyBatch, (events) => {
        for (const event of eventsOf(storedBatch(packBody(events.slice(0, 5)), { baseCounter: 77, actor: 65535 }))) {
          const back = eventFromProto(proto.Event.decode(proto.Event.encode(eventToProto(event)).finish()));
          assert.deepEqual(normalised(back), normalised(event));
          assert.deepEqual([back.id, back.timestampMs], [event.id, event.timestampMs]);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('an event that no node would send is refused', () => {
    const event = eventToProto(
      eventsOf(storedBatch(packBody([{ namespace: '/a', data: new Uint8Array() }])))[0] ?? assert.fail(),
    );
    assert.throws(() => eventFromProto({ ...event, id: '' }), { code: 'INVALID_ARGUMENT', message: /^event\.id: / });
    assert.throws(() => eventFromProto({ ...event, parentId: 'x' }), {
      code: 'INVALID_ARGUMENT',
      message: /^event\.parent_id: /,
    });
    assert.throws(() => eventFromProto({ ...event, timestampMs: 9e15 }), {
      code: 'INVALID_ARGUMENT',
      message: /^event\.timestamp_ms: /,
    });
  });
});
