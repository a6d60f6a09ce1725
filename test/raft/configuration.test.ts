import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, logIndex } from '../../src/base/index.js';
import { type Configuration, ConfigurationHistory, isLearner, isVoter, membersOf } from '../../src/raft/index.js';

function configuration(voters: number[], outgoing: number[] = [], learners: number[] = []): Configuration {
  return { voters: voters.map(actorId), outgoing: outgoing.map(actorId), learners: learners.map(actorId) };
}

test('a member of either half votes, and is no learner even where it is named as one', () => {
  const joint = configuration([1, 2], [2, 3], [3, 4]);
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(actorId).map((actor) => isVoter(joint, actor)),
    [true, true, true, false, false],
  );
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(actorId).map((actor) => isLearner(joint, actor)),
    [false, false, false, true, false],
  );
});

test('membersOf names every member once', () => {
  assert.deepEqual(membersOf(configuration([1, 2], [2, 3], [3, 4])), [1, 2, 3, 4]);
});

test('a truncated configuration gives way to the one before it', () => {
  const history = new ConfigurationHistory([{ index: logIndex(0), configuration: configuration([1]) }]);
  history.append({ index: logIndex(4), configuration: configuration([1, 2], [1]) });
  history.append({ index: logIndex(6), configuration: configuration([1, 2]) });
  history.truncateAfter(logIndex(6));
  assert.equal(history.latest.index, 6);
  history.truncateAfter(logIndex(5));
  assert.equal(history.latest.index, 4);
  history.truncateAfter(logIndex(0));
  assert.deepEqual(history.latest, { index: logIndex(0), configuration: configuration([1]) });
});

test('the first configuration is never truncated', () => {
  const history = new ConfigurationHistory([{ index: logIndex(3), configuration: configuration([1]) }]);
  history.truncateAfter(logIndex(0));
  assert.equal(history.latest.index, 3);
});

test('configurations are appended in order, and there is always one', () => {
  const history = new ConfigurationHistory([{ index: logIndex(3), configuration: configuration([1]) }]);
  assert.throws(() => history.append({ index: logIndex(3), configuration: configuration([1]) }), /index order/);
  assert.throws(() => new ConfigurationHistory([]), /from the start/);
});
