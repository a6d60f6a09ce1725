import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS, logIndex, type TimedPlace } from '../../../src/base/index.js';
import { corrected, type LogTimeCorrection, timeBound } from '../../../src/machine/stream/index.js';

/** A log whose time rises, but where it is set back; and the corrections as the machine keeps them. */
function logOf(times: readonly { timeMs: number; setBack: boolean }[]): {
  places: TimedPlace[];
  corrections: LogTimeCorrection[];
} {
  const places: TimedPlace[] = [];
  let corrections: LogTimeCorrection[] = [];
  for (const { timeMs, setBack } of times) {
    const place = {
      index: logIndex(places.length + 1),
      timeMs: setBack ? timeMs : Math.max(timeMs, places.at(-1)?.timeMs ?? 0),
    };
    places.push(place);
    if (setBack) corrections = corrected(corrections, place);
  }
  return { places, corrections };
}

/** A record was appended no later than any record behind it. */
function appendedBy(places: readonly TimedPlace[], position: number): number {
  return Math.min(...places.slice(position).map(({ timeMs }) => timeMs));
}

const log = fc.array(fc.record({ timeMs: fc.nat({ max: 30 }), setBack: fc.boolean() }), { maxLength: 24 });

test('a time is found where no record behind it says an earlier one, wherever log time was set back', () => {
  fc.assert(
    fc.property(log, fc.nat({ max: 32 }), (drawn, soughtMs) => {
      const { places, corrections } = logOf(drawn);
      const isLate = timeBound(corrections, soughtMs, logIndex(0));
      for (const [position, place] of places.entries())
        assert.equal(isLate(place), appendedBy(places, position) >= soughtMs, `record ${place.index} and ${soughtMs}`);
    }),
  );
});

test('what was given up, and its corrections with it, is found at no time', () => {
  const { places } = logOf([5, 90, 91].map((timeMs) => ({ timeMs, setBack: false })));
  const isLate = timeBound([], 50, logIndex(2));
  assert.deepEqual(places.map(isLate), [false, false, true]);
});

test('so many corrections are kept: without the oldest, what stands before it counts as later than it was', () => {
  let corrections: readonly LogTimeCorrection[] = [];
  for (let at = 1; at <= LIMITS.logTimeCorrections + 1; at++)
    corrections = corrected(corrections, { index: logIndex(at), timeMs: at });
  assert.equal(corrections.length, LIMITS.logTimeCorrections);
  assert.deepEqual(corrections[0], { index: 2, timeMs: 2 });
  assert.deepEqual(corrected(corrections, { index: logIndex(99), timeMs: 1 }), [{ index: 99, timeMs: 1 }]);
});
