import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS, logIndex } from '../../src/base/index.js';
import { LogPositions } from '../../src/stream/log-positions.js';

test('it never says more than what stood in the log at that time, whatever it has left out', () => {
  const step = fc.record({ afterMs: fc.oneof(fc.nat(50), fc.nat(1000), fc.nat(100_000)), records: fc.nat(5) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.nat(), (steps, asked) => {
      const positions = new LogPositions(0, logIndex(0));
      const history = [{ atMs: 0, index: 0 }];
      let [atMs, index] = [0, 0];
      for (const { afterMs, records } of steps) {
        [atMs, index] = [atMs + afterMs, index + records];
        history.push({ atMs, index });
        positions.note(atMs, logIndex(index));
      }
      for (const soughtMs of [asked % (atMs + 1), atMs / 2, atMs, atMs + 1, ...history.map((place) => place.atMs)]) {
        const real = history.findLast((place) => place.atMs <= soughtMs)?.index ?? 0;
        assert.ok(positions.at(soughtMs) <= real, `${positions.at(soughtMs)} at ${soughtMs}, and it was ${real}`);
      }
      assert.equal(positions.at(atMs), index);
      assert.equal(positions.at(-1), 0);
    }),
  );
});

test('what it remembers of a busy log is exact to a tenth of a second lately, and to a part of its age before', () => {
  const positions = new LogPositions(0, logIndex(0));
  const nowMs = 3_600_000;
  for (let atMs = 1; atMs <= nowMs; atMs += 7) positions.note(atMs, logIndex(atMs));
  for (const agoMs of [200, 1000, 10_000, 60_000, 600_000]) {
    const behindMs = nowMs - agoMs - positions.at(nowMs - agoMs);
    assert.ok(behindMs >= 0 && behindMs <= LIMITS.logPositionMs + 0.5 * agoMs, `${behindMs} ms off ${agoMs} ms ago`);
  }
});
