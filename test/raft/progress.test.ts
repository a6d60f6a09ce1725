import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logIndex } from '../../src/base/index.js';
import { Progress } from '../../src/raft/progress.js';

const WINDOW = { bytes: 1000, messages: 3 };

function replicating(matchIndex: number): Progress {
  const progress = new Progress(logIndex(matchIndex + 1), 0, true);
  progress.acknowledged(logIndex(matchIndex), 0);
  return progress;
}

test('probe sends one message and waits for its answer', () => {
  const progress = new Progress(logIndex(5), 0, true);
  assert.equal(progress.mayAppend(WINDOW), true);
  progress.sent(logIndex(9), 100, 0);
  assert.equal(progress.mayAppend(WINDOW), false);
  assert.equal(progress.nextIndex, 5, 'what was sent in a probe may not match');
  progress.acknowledged(logIndex(9), 1);
  assert.equal(progress.state, 'replicate');
  assert.equal(progress.matchIndex, 9);
  assert.equal(progress.nextIndex, 10);
});

test('replicate streams ahead as far as the window allows', () => {
  const byMessages = replicating(0);
  for (const index of [1, 2, 3]) {
    assert.equal(byMessages.mayAppend(WINDOW), true);
    byMessages.sent(logIndex(index), 10, 0);
  }
  assert.equal(byMessages.nextIndex, 4);
  assert.equal(byMessages.mayAppend(WINDOW), false);
  byMessages.acknowledged(logIndex(2), 1);
  assert.equal(byMessages.mayAppend(WINDOW), true);

  const byBytes = replicating(0);
  byBytes.sent(logIndex(1), 1000, 0);
  assert.equal(byBytes.mayAppend(WINDOW), false);
  byBytes.acknowledged(logIndex(1), 1);
  assert.equal(byBytes.mayAppend(WINDOW), true);
});

test('a closed link is sent nothing', () => {
  const progress = replicating(4);
  progress.linkOpen = false;
  assert.equal(progress.mayAppend(WINDOW), false);
});

test('matchIndex never goes back', () => {
  const progress = replicating(8);
  progress.acknowledged(logIndex(5), 1);
  assert.equal(progress.matchIndex, 8);
  progress.restart();
  assert.equal(progress.matchIndex, 8);
  assert.equal(progress.nextIndex, 9);
  progress.probeFrom(logIndex(2));
  assert.equal(progress.nextIndex, 9, 'what the follower holds is not sent again');
});

test('an acknowledgement of more than was sent moves nextIndex along', () => {
  const progress = replicating(3);
  progress.acknowledged(logIndex(7), 1);
  assert.equal(progress.nextIndex, 8);
});

test('isCurrentRefusal ignores answers to what was sent before', () => {
  const probing = new Progress(logIndex(6), 0, true);
  assert.equal(probing.isCurrentRefusal(logIndex(5)), true);
  assert.equal(probing.isCurrentRefusal(logIndex(8)), false);
  const streaming = replicating(5);
  assert.equal(streaming.isCurrentRefusal(logIndex(5)), false);
  assert.equal(streaming.isCurrentRefusal(logIndex(6)), true);
});

test('repeatUnanswered sends again what is lost', () => {
  const probing = new Progress(logIndex(6), 0, true);
  probing.sent(logIndex(6), 10, 100);
  probing.repeatUnanswered(100);
  assert.equal(probing.mayAppend(WINDOW), false, 'not yet');
  probing.repeatUnanswered(101);
  assert.equal(probing.mayAppend(WINDOW), true);

  const streaming = replicating(5);
  streaming.sent(logIndex(6), 10, 100);
  streaming.sent(logIndex(7), 10, 150);
  streaming.repeatUnanswered(101);
  assert.equal(streaming.state, 'probe');
  assert.equal(streaming.nextIndex, 6);
});

test('repeatUnanswered leaves a slow follower alone, as long as it gets on', () => {
  const progress = replicating(0);
  for (const index of [1, 2, 3]) progress.sent(logIndex(index), 10, 100);
  progress.acknowledged(logIndex(1), 600);
  progress.acknowledged(logIndex(2), 1100);
  progress.repeatUnanswered(1000);
  assert.equal(
    progress.state,
    'replicate',
    'the third message is old, but the follower was heard to work its way there',
  );
  progress.repeatUnanswered(1101);
  assert.equal(progress.state, 'probe');
});

test('repeatUnanswered does not count the time in which nothing was under way', () => {
  const progress = replicating(0);
  progress.sent(logIndex(1), 10, 100);
  progress.acknowledged(logIndex(1), 110);
  progress.sent(logIndex(2), 10, 9000);
  progress.repeatUnanswered(8500);
  assert.equal(progress.state, 'replicate');
});
