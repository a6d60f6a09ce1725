import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deadlines } from '../../src/group/index.js';
import { ManualClock } from '../support/manual-clock.js';

const LATE_MS = 50;

function passes(clock: ManualClock, ms: number): void {
  clock.stall(ms);
  clock.runTimers();
}

test('each deadline is called back when its time has come, and once', () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock, LATE_MS);
  const due: string[] = [];
  const first = deadlines.add(() => due.push('first'));
  const second = deadlines.add(() => due.push('second'));
  second.set(20);
  first.set(10);
  passes(clock, 10);
  assert.deepEqual(due, ['first']);
  passes(clock, 10);
  assert.deepEqual(due, ['first', 'second']);
  passes(clock, 1000);
  assert.deepEqual(due, ['first', 'second']);
});

test('however many there are, one timer runs, and none where nothing is due ever', () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock, LATE_MS);
  const many = Array.from({ length: 100 }, () => deadlines.add(() => undefined));
  assert.equal(clock.timers, 0);
  for (const [position, deadline] of many.entries()) deadline.set(1000 - position);
  assert.equal(clock.timers, 1);
  for (const deadline of many) deadline.set(Number.POSITIVE_INFINITY);
  passes(clock, 1000);
  assert.equal(clock.timers, 0);
});

test('one that is put off is not called before', () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock, LATE_MS);
  let calls = 0;
  const deadline = deadlines.add(() => calls++);
  deadline.set(10);
  deadline.set(30);
  passes(clock, 10);
  assert.equal(calls, 0);
  passes(clock, 20);
  assert.equal(calls, 1);
});

test('one that sets itself anew goes on', () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock, LATE_MS);
  let calls = 0;
  const deadline = deadlines.add(() => {
    calls++;
    deadline.set(clock.nowMs() + 10);
  });
  deadline.set(10);
  for (let step = 0; step < 5; step++) passes(clock, 10);
  assert.equal(calls, 5);
});

test('a cancelled one is never called, whatever is set', () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock, LATE_MS);
  const deadline = deadlines.add(() => assert.fail('it was cancelled'));
  deadline.set(10);
  deadline.cancel();
  assert.equal(clock.timers, 0);
  deadline.set(10);
  passes(clock, 100);
});

test('after a stall, what has arrived is taken in before time counts', () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock, LATE_MS);
  let calls = 0;
  const deadline = deadlines.add(() => calls++);
  deadline.set(10);
  passes(clock, 10 + LATE_MS);
  clock.runSoon();
  assert.equal(calls, 0);
  // A heartbeat that had been waiting puts it off.
  deadline.set(clock.nowMs() + 10);
  clock.runSoon();
  assert.equal(calls, 0);
  passes(clock, 10);
  assert.equal(calls, 1);
});
