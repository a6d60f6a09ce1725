import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Room } from '../../src/raft/index.js';
import { Cluster, SETTINGS } from './cluster.js';

/** Node 1 leads three; rooms may be changed. */
function led(rooms: Record<number, Room> = {}, quiescence = false): { cluster: Cluster; rooms: Record<number, Room> } {
  const cluster = new Cluster([1, 2, 3], { rooms, settings: { ...SETTINGS, quiescence } });
  cluster.elect(1);
  return { cluster, rooms };
}

const refusal = (cluster: Cluster, actor: number) => cluster.node(actor).core.admission.refusal();

/** Heartbeats, and what follows from them. */
function beat(cluster: Cluster, rounds = 2): void {
  for (let round = 0; round < rounds; round++) {
    cluster.tick(100);
    cluster.settle();
  }
}

test('aFullFollower_acceptsNoEvents_andTheOthersGoOnWithoutIt', () => {
  const { cluster, rooms } = led();
  rooms[3] = 'full';
  cluster.propose(1, 'a');
  cluster.settle();
  cluster.propose(1, 'b');
  cluster.settle();
  assert.equal(cluster.logOf(3), '1:no-op');
  assert.equal(cluster.node(1).core.commitIndex, 3);
  assert.equal(refusal(cluster, 1), undefined);
});

test('aFullFollower_isSentNothingUntilItHasRoom_andThenAllOfIt', () => {
  const { cluster, rooms } = led();
  rooms[3] = 'full';
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
  rooms[3] = 'ample';
  beat(cluster);
  assert.equal(cluster.logOf(3), cluster.logOf(1));
});

test('aFullFollower_acceptsWhatHoldsNoEvents', () => {
  const { cluster, rooms } = led();
  Object.assign(rooms, { 2: 'full', 3: 'full' });
  beat(cluster);
  rooms[1] = 'full';
  beat(cluster);
  assert.notEqual(cluster.change(1, ['removed', 3]), undefined);
  cluster.settle();
  assert.deepEqual(cluster.node(1).core.configuration.voters, [1, 2]);
});

test('aMajorityWithoutRoom_theLeaderRefusesEvents_untilOneHasRoomAgain', () => {
  const { cluster, rooms } = led();
  rooms[2] = 'full';
  rooms[3] = 'full';
  beat(cluster);
  assert.equal(refusal(cluster, 1), 'majority');
  rooms[3] = 'low';
  beat(cluster);
  assert.equal(refusal(cluster, 1), undefined, 'a follower that is only low still takes what was proposed');
});

test('aLeaderThatIsLow_handsOverToTheOneThatHasRoom', () => {
  const { cluster, rooms } = led();
  rooms[1] = 'low';
  rooms[2] = 'low';
  beat(cluster, 3);
  assert.deepEqual(cluster.leaders, [3]);
  assert.equal(refusal(cluster, 3), undefined);
});

test('allAreLow_theLeaderStays_refusesEvents_andConfirmsReads', () => {
  const { cluster, rooms } = led();
  Object.assign(rooms, { 2: 'full', 3: 'low' });
  beat(cluster);
  rooms[1] = 'full';
  beat(cluster, 5);
  assert.deepEqual(cluster.leaders, [1]);
  assert.equal(refusal(cluster, 1), 'own disk');
  assert.equal(cluster.readIndex(1, 7), true);
  cluster.settle();
  assert.deepEqual(cluster.node(1).reads.at(-1), { requestId: 7, index: 1 });
});

test('allAreFull_aNewLeaderIsElected_andCommitsItsNoOp', () => {
  const { cluster, rooms } = led();
  cluster.propose(1, 'a');
  cluster.settle();
  Object.assign(rooms, { 1: 'full', 2: 'full', 3: 'full' });
  cluster.crashed(1);
  cluster.elect(2);
  assert.equal(cluster.node(2).core.commitIndex, 3);
  assert.equal(cluster.logOf(3), '1:no-op 1:a 2:no-op');
});

test('withoutALeader_whoIsLowLetsTheOthersStandFirst', () => {
  const cluster = new Cluster([1, 2], { rooms: { 1: 'low' } });
  assert.ok(cluster.node(1).core.nextDeadlineMs > cluster.node(2).core.nextDeadlineMs + SETTINGS.electionTimeoutMs / 2);
});

test('aGroupThatRests_wakesWhereALowLeaderIsAskedForMore', () => {
  const { cluster, rooms } = led({}, true);
  beat(cluster, 5);
  assert.ok(cluster.node(1).core.isQuiet);
  rooms[1] = 'low';
  assert.equal(refusal(cluster, 1), 'yielding', 'the others have said that they have room, and hold everything');
  beat(cluster, 2);
  assert.equal(cluster.leaders.includes(1), false);
});
