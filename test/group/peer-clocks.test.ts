/** How a node measures its peers' clocks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, LIMITS, present } from '../../src/base/index.js';
import { CLOCK_CHECKS, Deadlines, PeerClocks } from '../../src/group/index.js';
import { ManualClock } from '../support/manual-clock.js';

const PEER = actorId(2);

class Measured {
  readonly clock = new ManualClock();
  readonly questions: number[] = [];
  news = 0;
  readonly clocks = new PeerClocks({
    clock: this.clock,
    deadlines: new Deadlines(this.clock, 1000),
    checks: CLOCK_CHECKS,
    ask: (_, { requestId }) => void this.questions.push(requestId),
  });

  constructor() {
    this.clocks.listen(() => this.news++);
  }

  advance(ms: number): void {
    for (let passed = 0; passed < ms; passed += 10) {
      this.clock.stall(10);
      this.clock.runTimers();
    }
  }

  /** The latest question is answered by a clock that is so far ahead, `roundTripMs` after it was asked. */
  answer(aheadMs: number, roundTripMs = 0): void {
    const asked = present(this.questions.at(-1), 'something was asked');
    const utcMs = this.clock.utcMs() + roundTripMs / 2 + aheadMs;
    this.clock.stall(roundTripMs);
    this.clocks.answered(PEER, asked, utcMs);
  }

  aheadMs(): number | undefined {
    return this.clocks.skewsMs().get(PEER);
  }
}

test('a peer is asked when its link opens, then every other second, and more often until it has answered', () => {
  const measured = new Measured();
  measured.clocks.start();
  measured.clocks.onLink(PEER, 'open');
  assert.equal(measured.questions.length, 1);
  measured.advance(LIMITS.clockAskMs);
  assert.equal(measured.questions.length, 5);
  measured.answer(0);
  measured.advance(3 * LIMITS.clockAskMs);
  assert.ok(measured.questions.length <= 9, `${measured.questions.length}`);
});

test('an answer is right by half the round trip, and gets less certain with time until it is forgotten', () => {
  const measured = new Measured();
  measured.clocks.onLink(PEER, 'open');
  measured.answer(5000, 300);
  assert.ok(Math.abs((measured.aheadMs() ?? 0) - 5000) < 1);
  const width = (): number => {
    const { earliestMs, latestMs } = measured.clocks.readingOf(PEER) ?? assert.fail();
    return latestMs - earliestMs;
  };
  assert.ok(width() >= 300 && width() < 304);
  measured.clock.stall(LIMITS.clockReadingMs);
  assert.ok(width() >= 320);
  measured.clock.stall(1);
  assert.equal(measured.clocks.readingOf(PEER), undefined);
});

test("setting this node's own clock changes what it is off, and nothing of what is known of a peer's", () => {
  const measured = new Measured();
  measured.clocks.onLink(PEER, 'open');
  measured.answer(0);
  const before = measured.clocks.readingOf(PEER);
  measured.clock.utcOffsetMs += 3_600_000;
  assert.deepEqual(measured.clocks.readingOf(PEER), before);
  assert.equal(measured.aheadMs(), -3_600_000);
});

test('what nobody asked, or was answered before, and what was said over a link that is lost counts for nothing', () => {
  const measured = new Measured();
  measured.clocks.answered(PEER, 1, 5);
  measured.clocks.onLink(PEER, 'open');
  const [asked] = measured.questions;
  measured.clocks.answered(PEER, (asked ?? 0) + 1, 5);
  assert.equal(measured.aheadMs(), undefined);
  measured.answer(0);
  measured.clocks.answered(PEER, asked ?? 0, 5);
  assert.equal(measured.aheadMs(), 0);
  measured.clocks.onLink(PEER, 'closed');
  assert.equal(measured.aheadMs(), undefined);
});

test('a question that nobody answers is forgotten behind so many others', () => {
  const measured = new Measured();
  measured.clocks.start();
  measured.clocks.onLink(PEER, 'open');
  measured.advance(LIMITS.clockAskMs * 4);
  const [first] = measured.questions;
  assert.ok(measured.questions.length > LIMITS.clockQuestions);
  measured.clocks.answered(PEER, first ?? 0, measured.clock.utcMs());
  assert.equal(measured.aheadMs(), undefined);
});

test('who waits for a first answer hears of it', () => {
  const measured = new Measured();
  measured.clocks.onLink(PEER, 'open');
  measured.answer(0);
  assert.equal(measured.news, 1);
});

test('the own clock is steady from when it was set last; little by little is no step', () => {
  const measured = new Measured();
  measured.clocks.start();
  measured.advance(60_000);
  assert.equal(measured.clocks.steadyMs(), 60_000);
  for (let correction = 0; correction < 30; correction++) {
    measured.clock.utcOffsetMs += 500;
    measured.advance(LIMITS.clockAskMs);
  }
  assert.equal(measured.clocks.steadyMs(), 120_000);
  measured.clock.utcOffsetMs += 30_000;
  assert.equal(measured.clocks.steadyMs(), 0);
  measured.clock.stall(7000);
  assert.equal(measured.clocks.steadyMs(), 7000);
  assert.deepEqual(measured.clocks.lastStep, { byMs: 30_000, agoMs: 7000 });
});
