import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster, SETTINGS } from './cluster.js';

/** Node 1 leads three. */
function led(quiescence = false): Cluster {
  const cluster = new Cluster([1, 2, 3], { settings: { ...SETTINGS, quiescence } });
  cluster.elect(1);
  return cluster;
}

const refusal = (cluster: Cluster, actor: number) => cluster.node(actor).core.refusalOfEvents();

/** Heartbeats, and what follows from them. */
function beat(cluster: Cluster, rounds = 2): void {
  for (let round = 0; round < rounds; round++) {
    cluster.tick(100);
    cluster.settle();
  }
}

test('a full follower accepts no events, and the others go on without it', () => {
  const cluster = led();
  cluster.diskPressure(3, 'full');
  cluster.propose(1, 'a');
  cluster.settle();
  cluster.propose(1, 'b');
  cluster.settle();
  assert.equal(cluster.logOf(3), '1:no-op');
  assert.equal(cluster.node(1).core.commitIndex, 3);
  assert.equal(refusal(cluster, 1), undefined);
});

test('a full follower is sent nothing until its disk is ok, and then all of it', () => {
  const cluster = led();
  cluster.diskPressure(3, 'full');
  cluster.propose(1, 'a');
  cluster.settle();
  let appends = 0;
  cluster.onSent = ({ to, message }) => {
    if (to === 3 && message.type === 'append') appends++;
  };
  for (let second = 0; second < 30; second++) {
    cluster.propose(1, `${second}`);
    beat(cluster, 10);
  }
  assert.equal(appends, 0, 'no busy loop, and no repetition after a time-out');
  cluster.diskPressure(3, 'ok');
  beat(cluster);
  assert.equal(cluster.logOf(3), cluster.logOf(1));
});

test('a full follower accepts what holds no events', () => {
  const cluster = led();
  cluster.diskPressure(2, 'full');
  cluster.diskPressure(3, 'full');
  beat(cluster);
  cluster.diskPressure(1, 'full');
  beat(cluster);
  assert.notEqual(cluster.change(1, ['removed', 3]), undefined);
  cluster.settle();
  assert.deepEqual(cluster.node(1).core.configuration.voters, [1, 2]);
});

test('while a majority is full the leader refuses events, until one disk recovers', () => {
  const cluster = led();
  cluster.diskPressure(2, 'full');
  cluster.diskPressure(3, 'full');
  beat(cluster);
  assert.equal(refusal(cluster, 1), 'majority');
  cluster.diskPressure(3, 'low');
  beat(cluster);
  assert.equal(refusal(cluster, 1), undefined, 'a follower that is only low still takes what was proposed');
});

test('a leader that is low hands over to the server with a disk that is ok', () => {
  const cluster = led();
  cluster.diskPressure(1, 'low');
  cluster.diskPressure(2, 'low');
  beat(cluster, 3);
  assert.deepEqual(cluster.leaders, [3]);
  assert.equal(refusal(cluster, 3), undefined);
});

test('while all are low the leader stays, refuses events, and confirms reads', () => {
  const cluster = led();
  cluster.diskPressure(2, 'full');
  cluster.diskPressure(3, 'low');
  beat(cluster);
  cluster.diskPressure(1, 'full');
  beat(cluster, 5);
  assert.deepEqual(cluster.leaders, [1]);
  assert.equal(refusal(cluster, 1), 'own disk');
  assert.equal(cluster.readIndex(1, 7), true);
  cluster.settle();
  assert.deepEqual(cluster.node(1).reads.at(-1), { requestId: 7, index: 1 });
});

test('while all are full a new leader is elected, and commits its no-op', () => {
  const cluster = led();
  cluster.propose(1, 'a');
  cluster.settle();
  cluster.diskPressure(1, 'full');
  cluster.diskPressure(2, 'full');
  cluster.diskPressure(3, 'full');
  cluster.crashed(1);
  cluster.elect(2);
  assert.equal(cluster.node(2).core.commitIndex, 3);
  assert.equal(cluster.logOf(3), '1:no-op 1:a 2:no-op');
});

test('without a leader a server that is low lets the others stand first', () => {
  const cluster = new Cluster([1, 2]);
  cluster.diskPressure(1, 'low');
  cluster.crashed(1);
  cluster.restart(1);
  assert.ok(cluster.node(1).core.nextDeadlineMs > cluster.node(2).core.nextDeadlineMs + SETTINGS.electionTimeoutMs / 2);
});

test('a leader that has quiesced wakes when its disk runs low, and hands over', () => {
  const cluster = led(true);
  beat(cluster, 5);
  assert.ok(cluster.node(1).core.isQuiesced);
  cluster.diskPressure(1, 'low');
  assert.ok(!cluster.node(1).core.isQuiesced);
  beat(cluster, 2);
  assert.equal(cluster.leaders.includes(1), false);
});

test('a leader that has quiesced, and is asked for more as soon as it is low, yields at once', () => {
  const cluster = led(true);
  beat(cluster, 5);
  cluster.diskPressure(1, 'low');
  assert.equal(refusal(cluster, 1), 'yielding', 'the others have reported their disks, and hold everything');
});

test('a follower that has quiesced, and is full, refuses the events that wake it', () => {
  const cluster = led(true);
  beat(cluster, 5);
  cluster.diskPressure(3, 'full');
  assert.ok(cluster.node(3).core.isQuiesced, 'it has nothing to say yet');
  cluster.propose(1, 'a');
  cluster.settle();
  assert.equal(cluster.logOf(3), '1:no-op');
  assert.equal(cluster.node(1).core.commitIndex, 2);
});
