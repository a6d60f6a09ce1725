import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { finish } from '../../src/base/index.js';
import { compileGlob, formatEventId, type NewEvent } from '../../src/event/index.js';
import { eventsOf, openingStoredBatch, packBody, selectEvents, selectingEvents } from '../../src/wire/index.js';
import { anyBatch, normalised, storedBatch } from './event-arbitrary.js';

const event = (namespace: string): NewEvent => ({ namespace, data: Buffer.from(namespace) });
const batch = storedBatch(packBody(['/a', '/b', '/a', '/$s', '/c/d'].map(event)), {
  baseCounter: 10,
  actor: 7,
  timestampMs: 1234,
});

describe('events of a stored batch', () => {
  test('have consecutive ids of the actor and the time of the batch', () => {
    const events = eventsOf(batch);
    assert.deepEqual(
      events.map(({ id }) => formatEventId(id)),
      [10, 11, 12, 13, 14].map((counter) => `${String(counter).padStart(20, '0')}00007`),
    );
    assert.ok(events.every(({ timestampMs }) => timestampMs === 1234));
  });

  test('are those that were packed', () => {
    fc.assert(
      fc.property(anyBatch, (events) =>
        assert.deepEqual(eventsOf(storedBatch(packBody(events))).map(normalised), events.map(normalised)),
      ),
      { numRuns: 100 },
    );
  });

  test('are selected by glob and position', () => {
    const cases: readonly (readonly [glob: string, after: number, expected: unknown])[] = [
      ['/a', 0, [0, 2]],
      ['/a', 10, [2]],
      ['/a', 12, 'none'],
      ['/x', 0, 'none'],
      ['/**/*', 0, [0, 1, 2, 4]],
      ['/**/*', 11, [2, 4]],
      ['/**/*', 14, 'none'],
      ['/**/*', 1000, 'none'],
      ['/$*', 0, [3]],
      ['/c/**', 13, [4]],
    ];
    for (const [glob, after, expected] of cases)
      assert.deepEqual(selectEvents(batch, compileGlob(glob), after), expected, `${glob} after ${after}`);
  });

  test('are all selected only where every event is', () => {
    const plain = storedBatch(packBody(['/a', '/b'].map(event)), { baseCounter: 10 });
    assert.equal(selectEvents(plain, compileGlob('/**/*'), 0), 'all');
    assert.equal(selectEvents(plain, compileGlob('/*'), 9), 'all');
    assert.deepEqual(selectEvents(plain, compileGlob('/*'), 10), [1]);
  });

  test('the selection is the log filtered, for any batch, glob and position', () => {
    const glob = fc.constantFrom('/**/*', '/*', '/a', '**', '/c/**', '/é*');
    fc.assert(
      fc.property(anyBatch, glob, fc.integer({ min: -1, max: 14 }), (events, pattern, after) => {
        const stored = storedBatch(packBody(events), { baseCounter: 5 });
        const compiled = compileGlob(pattern);
        const expected = eventsOf(stored).filter((each) => each.id.counter > after && compiled.matches(each.namespace));
        assert.deepEqual(eventsOf(stored, selectEvents(stored, compiled, after)), expected);
      }),
      { numRuns: 150 },
    );
  });

  test('the glob is asked once per distinct namespace', () => {
    const asked: string[] = [];
    const glob = { ...compileGlob('/a'), matches: (namespace: string) => asked.push(namespace) > 0 };
    selectEvents(batch, glob, 0);
    assert.deepEqual(asked, ['/a', '/b', '/$s', '/c/d']);
  });

  test('a batch that no leader stamped is damage', () => {
    const packed = packBody([event('/a')]);
    assert.throws(() => eventsOf(storedBatch(packed, { count: 2 })), {
      code: 'DATA_LOSS',
      message: /counter 1 .*2 events, its body of 1/,
    });
    assert.throws(() => eventsOf(storedBatch({ ...packed, body: packed.body.subarray(1) })), { code: 'DATA_LOSS' });
    assert.throws(() => eventsOf(storedBatch(packed, { timestampMs: 8.64e15 + 1 })), { code: 'DATA_LOSS' });
    assert.throws(() => selectEvents(storedBatch({ ...packed, body: new Uint8Array() }), compileGlob('/a'), 0), {
      code: 'DATA_LOSS',
    });
  });

  test('a batch with unknown flags asks for a newer version', () => {
    assert.throws(() => eventsOf(storedBatch(packBody([event('/a')]), { flags: 1 })), {
      code: 'FOREIGN_NODE',
      message: /newer/,
    });
  });
});

test('work that may be interrupted comes to the same, and says so often where a batch has many long names', () => {
  fc.assert(
    fc.property(
      anyBatch,
      fc.constantFrom('/**/*', '/*', '/a/**', '/none'),
      fc.nat({ max: 30 }),
      fc.nat({ max: 60 }),
      (events, pattern, after, before) => {
        const batch = storedBatch(packBody(events));
        const glob = compileGlob(pattern);
        assert.deepEqual(finish(selectingEvents(batch, glob, after, before)), selectEvents(batch, glob, after, before));
      },
    ),
  );
  const many = Array.from({ length: 4000 }, (_, at) => event(`/${'a'.repeat(900)}${at}`));
  const places = [...selectingEvents(storedBatch(packBody(many)), compileGlob('/*b'), 0, Number.POSITIVE_INFINITY)]
    .length;
  assert.ok(places >= 4000 / 16, `${places} places to interrupt it`);
  const metadata = new Map(Array.from({ length: 500 }, (_, at) => [`key ${at}`, 'value']));
  const described = Array.from({ length: 100 }, () => ({ ...event('/a'), metadata }));
  assert.ok([...openingStoredBatch(storedBatch(packBody(described)))].length >= 100);
});
