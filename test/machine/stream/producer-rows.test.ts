import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NO_ROW } from '../../../src/machine/stream/known-batches.js';
import { ProducerRows } from '../../../src/machine/stream/producer-rows.js';

test('it knows what a Map would, whatever is added and taken out', () => {
  const id = fc.oneof(
    fc.integer({ min: 1, max: 60 }),
    fc.integer({ min: 0, max: 60 }).map((high) => 7 + high * 2 ** 32),
  );
  const step = fc.record({ id, isAdded: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const [rows, model] = [new ProducerRows(), new Map<number, number>()];
      for (const [row, { id: each, isAdded }] of steps.entries()) {
        if (!isAdded) rows.delete(each);
        else if (!rows.has(each)) rows.add(each, row);
        if (!isAdded) model.delete(each);
        else if (!model.has(each)) model.set(each, row);
      }
      assert.equal(rows.size, model.size);
      for (const { id: each } of steps) assert.equal(rows.get(each), model.get(each) ?? NO_ROW);
    }),
  );
});

test('ids that count up, and ids that differ in their upper half only, are found as fast as random ones', () => {
  const count = 65_536;
  for (const idOf of [(at: number) => at + 1, (at: number) => at * 2 ** 32 + 1, (at: number) => (at + 1) * 4096]) {
    const rows = new ProducerRows();
    for (let at = 0; at < count; at++) rows.add(idOf(at), at);
    // Where they stood in one row of places, this would take minutes.
    for (let at = 0; at < count; at += 2) rows.delete(idOf(at));
    for (let at = 0; at < count; at++) assert.equal(rows.get(idOf(at)), at % 2 === 0 ? NO_ROW : at);
  }
});
