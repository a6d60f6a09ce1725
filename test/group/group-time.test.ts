/** What time a group says that it is, by the clocks of its voters. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ActorId, actorId, LIMITS } from '../../src/base/index.js';
import { type ClockReading, type ClockVerdict, GroupTime } from '../../src/group/index.js';
import { type Configuration, majorityOf } from '../../src/raft/index.js';
import { ManualClock } from '../support/manual-clock.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const SELF = actorId(1);

/** Node 1's view; offsets of the voters from true time by position, undefined where one can't be asked. */
function timeOf(
  offsetsMs: readonly (number | undefined)[],
  options: { steadyMs?: number; errorMs?: number; configuration?: Configuration } = {},
): { time: GroupTime; nowMs: number } {
  const clock = new ManualClock();
  const nowMs = clock.utcMs();
  clock.utcOffsetMs = offsetsMs[0] ?? 0;
  const voters = offsetsMs.map((_, position) => actorId(position + 1));
  const { errorMs = 0, steadyMs = Number.POSITIVE_INFINITY } = options;
  const readingOf = (peer: ActorId): ClockReading | undefined => {
    const offsetMs = offsetsMs[peer - 1];
    return offsetMs === undefined
      ? undefined
      : { earliestMs: nowMs + offsetMs - errorMs, latestMs: nowMs + offsetMs + errorMs };
  };
  const configuration = options.configuration ?? { voters, outgoing: [], learners: [] };
  const clocks = { toleranceMs: LIMITS.clockToleranceMs, readingOf, steadyMs: () => steadyMs };
  return { time: new GroupTime({ self: SELF, clock, clocks, core: { configuration } }), nowMs };
}

test('a leader whose clock is off stamps with the time of the others, ahead and behind, and gives up by it', () => {
  for (const offMs of [30 * DAY_MS, -30 * DAY_MS, 11_000]) {
    const { time, nowMs } = timeOf([offMs, 3, -2]);
    const { timestampMs, appendedMs } = time.stamp() ?? assert.fail();
    assert.ok(
      Math.abs(timestampMs - nowMs) <= 3 && Math.abs(appendedMs - nowMs) <= 3,
      `${offMs}: ${timestampMs - nowMs}`,
    );
    assert.ok(Math.abs((time.reachedMs(1) ?? 0) - nowMs) <= 3);
    assert.equal(time.verdict.kind, 'off');
  }
});

test('a clock that is right but for a little is what events are stamped with', () => {
  const { time, nowMs } = timeOf([900, 0, 5], { errorMs: 40 });
  assert.equal(time.stamp()?.timestampMs, nowMs + 900);
  assert.equal(time.stamp()?.appendedMs, nowMs + 45, 'log time is no later than a majority of the clocks');
  assert.equal(time.verdict.kind, 'agreed');
});

test('two that disagree: nothing is younger by the later, nothing older by the earlier', () => {
  for (const offsetsMs of [
    [30 * DAY_MS, 0],
    [0, 30 * DAY_MS],
    [0, 30 * DAY_MS, undefined],
  ]) {
    const { time, nowMs } = timeOf(offsetsMs);
    assert.equal(time.reachedMs(1), nowMs);
    assert.equal(time.stamp()?.appendedMs, nowMs + 30 * DAY_MS);
    assert.deepEqual(time.verdict, { kind: 'divided', apartMs: 30 * DAY_MS } satisfies ClockVerdict);
  }
});

test('while fewer than a majority can be asked, nothing is stamped and nothing given up', () => {
  const { time } = timeOf([0, undefined, undefined]);
  assert.equal(time.stamp(), undefined);
  assert.equal(time.reachedMs(1), undefined);
  assert.equal(time.verdict.kind, 'unknown');
});

test('while members change, both halves have a say', () => {
  const configuration = { voters: [1, 2, 3].map(actorId), outgoing: [1, 4, 5].map(actorId), learners: [] };
  const { time, nowMs } = timeOf([0, 0, 0, 30 * DAY_MS, 30 * DAY_MS], { configuration });
  assert.deepEqual(time.now(), { earliestMs: nowMs, latestMs: nowMs + 30 * DAY_MS });
});

test('a sole voter gives up by its own clock once that has gone steadily for as long as the age, or an hour', () => {
  for (const [maxAgeMs, neededMs] of [
    [5000, 5000],
    [30 * DAY_MS, 3_600_000],
  ] as const) {
    assert.equal(timeOf([0], { steadyMs: neededMs - 1 }).time.reachedMs(maxAgeMs), undefined);
    const { time, nowMs } = timeOf([0], { steadyMs: neededMs });
    assert.equal(time.reachedMs(maxAgeMs), nowMs);
    assert.equal(time.stamp()?.timestampMs, nowMs);
  }
});

test('as long as every majority has a right clock in it, the time lies between the two bounds', () => {
  const clocks = fc.integer({ min: 1, max: 7 }).chain((voters) =>
    fc.array(fc.record({ offsetMs: fc.integer({ min: -60 * DAY_MS, max: 60 * DAY_MS }), isKnown: fc.boolean() }), {
      minLength: voters,
      maxLength: voters,
    }),
  );
  fc.assert(
    fc.property(clocks, fc.nat(), (drawn, first) => {
      const wrongMost = majorityOf(drawn.length) - 1;
      const wrong = new Set(Array.from({ length: wrongMost }, (_, at) => (first + at) % drawn.length));
      const offsetsMs = drawn.map(({ offsetMs, isKnown }, position) => {
        if (position !== 0 && !isKnown) return undefined;
        return wrong.has(position) ? offsetMs : 0;
      });
      const { time, nowMs } = timeOf(offsetsMs);
      const now = time.now();
      assert.equal(now === undefined, offsetsMs.filter((each) => each !== undefined).length < majorityOf(drawn.length));
      if (now === undefined) return;
      assert.ok(now.earliestMs <= nowMs && nowMs <= now.latestMs, JSON.stringify(now));
      const { appendedMs } = time.stamp() ?? assert.fail();
      assert.ok(appendedMs >= nowMs - LIMITS.clockToleranceMs);
    }),
  );
});
