import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ImportedIds } from '../../cli/imported-ids.js';
import { actorId, counter, LIMITS } from '../../src/base/index.js';
import { type EventId, formatEventId } from '../../src/event/index.js';

const idOf = (count: number, actor: number): EventId => ({ counter: counter(count), actor: actorId(actor) });

test('each event of an export is found by its old id, and nothing else is', () => {
  const steps = fc.array(
    fc.record({
      gap: fc.integer({ min: 1, max: 3 }),
      oldActor: fc.integer({ min: 1, max: 2 }),
      newGap: fc.integer({ min: 1, max: 2 }),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (events) => {
      const ids = new ImportedIds();
      const expected = new Map<string, EventId>();
      let [oldCounter, newCounter] = [0, 100];
      for (const { gap, oldActor, newGap } of events) {
        oldCounter += gap;
        newCounter += newGap;
        ids.add(idOf(oldCounter, oldActor), idOf(newCounter, 7));
        expected.set(formatEventId(idOf(oldCounter, oldActor)), idOf(newCounter, 7));
      }
      for (let sought = 1; sought <= oldCounter + 2; sought++) {
        for (const actor of [1, 2])
          assert.deepEqual(ids.find(idOf(sought, actor)), expected.get(formatEventId(idOf(sought, actor))));
      }
    }),
  );
});

test('ids that begin anew are those of another export', () => {
  const ids = new ImportedIds();
  for (const old of [1, 2, 3]) ids.add(idOf(old, 1), idOf(old + 10, 2));
  ids.add(idOf(2, 1), idOf(20, 2));
  assert.deepEqual(ids.find(idOf(2, 1)), idOf(20, 2));
  assert.equal(ids.find(idOf(1, 1)), undefined);
  assert.equal(ids.find(idOf(3, 1)), undefined);
});

test('beyond the limit the oldest are forgotten', () => {
  const ids = new ImportedIds();
  const stretches = LIMITS.importedStretches + 1;
  for (let at = 1; at <= stretches; at++) ids.add(idOf(at * 2, 1), idOf(at, 1));
  assert.equal(ids.find(idOf(2, 1)), undefined);
  assert.deepEqual(ids.find(idOf(stretches * 2, 1)), idOf(stretches, 1));
  assert.deepEqual(ids.find(idOf(stretches * 2 - 1000, 1)), idOf(stretches - 500, 1));
});
