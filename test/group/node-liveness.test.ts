import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId } from '../../src/base/index.js';
import { NodeLiveness } from '../../src/group/node-liveness.js';

const [one, two] = [actorId(1), actorId(2)];

test('a node that is not heard for the time of silence is told of once, until it is heard again', () => {
  const liveness = new NodeLiveness(1000);
  assert.equal(liveness.heard(one, 0), true, 'it was never heard before');
  assert.equal(liveness.heard(two, 0), true);
  assert.equal(liveness.heard(one, 500), false);
  assert.deepEqual(liveness.takeSilent(999), []);
  assert.deepEqual(liveness.takeSilent(1000), [two]);
  assert.deepEqual(liveness.takeSilent(1400), []);
  assert.deepEqual(liveness.takeSilent(1500), [one]);
  assert.equal(liveness.heard(two, 2000), true);
  assert.deepEqual(liveness.takeSilent(3000), [two]);
});

test('it tells when somebody falls silent next; never, where nobody is heard', () => {
  const liveness = new NodeLiveness(1000);
  assert.equal(liveness.nextSilentMs, Number.POSITIVE_INFINITY);
  liveness.heard(one, 300);
  liveness.heard(two, 100);
  assert.equal(liveness.nextSilentMs, 1100);
});
