import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, FlotillaError } from '../../src/base/index.js';
import { fateOf, memberOf, StreamCluster } from '../support/stream-cluster.js';

const voter = (actor: number) => ({ actor: actorId(actor), to: 'voter' }) as const;
const learner = (actor: number) => ({ actor: actorId(actor), to: 'learner' }) as const;
const removed = (actor: number) => ({ actor: actorId(actor), to: 'removed' }) as const;
const code = (expected: string) => (error: unknown) => error instanceof FlotillaError && error.code === expected;

async function elected(spares: readonly number[] = [4]): Promise<StreamCluster> {
  const cluster = new StreamCluster([1, 2, 3], { spares });
  await cluster.advance(2000, 1);
  assert.equal(cluster.stream(1).group.role, 'leader');
  return cluster;
}

test('a learner is brought in, is told which the others are, and votes once it has caught up', async () => {
  const cluster = await elected();
  const change = fateOf(cluster.stream(1).group.changeMembers([learner(4)], [memberOf(actorId(4))]));
  await cluster.settle();
  await cluster.advance(200);
  assert.equal(change.state, 'resolved');
  for (const actor of [1, 2, 3, 4]) {
    const { voters, outgoing, learners, members } = cluster.stream(actor).group.membership;
    assert.deepEqual([voters, outgoing, learners], [[1, 2, 3, 4], [], []], `node ${actor}`);
    assert.deepEqual(
      members.map(({ instance }) => instance),
      [1, 2, 3, 4].map((each) => memberOf(actorId(each)).instance),
    );
  }
});

test('membersAreTheSameAfterARestart', async () => {
  const cluster = await elected();
  const change = fateOf(cluster.stream(1).group.changeMembers([voter(4), removed(3)], [memberOf(actorId(4))]));
  await cluster.settle();
  await cluster.advance(200);
  assert.equal(change.state, 'resolved');
  cluster.crash(4);
  cluster.start(4);
  assert.deepEqual(cluster.stream(4).group.membership.voters, [1, 2, 4]);
  assert.deepEqual(
    cluster.stream(4).group.membership.members.map(({ actor }) => actor),
    [1, 2, 4],
  );
});

test('a change that makes no sense, or comes at the wrong time, is refused and changes nothing', async () => {
  const cluster = await elected();
  const before = cluster.stream(1).group.membership;
  await assert.rejects(cluster.stream(1).group.changeMembers([removed(9)]), code('INVALID_ARGUMENT'));
  await assert.rejects(cluster.stream(2).group.changeMembers([removed(3)]), code('NOT_LEADER'));
  assert.equal(cluster.stream(1).group.membership, before);
  const change = fateOf(cluster.stream(1).group.changeMembers([removed(3)]));
  await assert.rejects(cluster.stream(1).group.changeMembers([removed(2)]), code('MEMBERSHIP_CHANGING'));
  await cluster.settle();
  assert.equal(change.state, 'resolved');
});

test('a change that another leader cuts off was not made', async () => {
  const cluster = await elected();
  cluster.cut(1);
  const change = fateOf(cluster.stream(1).group.changeMembers([removed(3)]));
  await cluster.advance(3000);
  cluster.heal(1);
  await cluster.advance(3000);
  assert.equal(change.state, 'rejected');
  assert.equal(change.code, 'NOT_LEADER');
  assert.deepEqual(cluster.stream(1).group.membership.voters, [1, 2, 3]);
});

test('a change without a majority has an unknown outcome', async () => {
  const cluster = await elected();
  for (const actor of [2, 3]) cluster.cut(actor);
  const change = fateOf(cluster.stream(1).group.changeMembers([removed(3)]));
  await cluster.advance(11_000);
  assert.equal(change.code, 'OUTCOME_UNKNOWN');
});

test('a node that has the name of an earlier member does not stand for election in its place', async () => {
  const cluster = new StreamCluster([1, 2, 3]);
  // Two new directories under old names, which have not caught up to where they were taken in: alone they would be a
  // majority of the old members.
  for (const actor of [1, 2]) {
    cluster.crash(actor);
    cluster.start(actor, 'f'.repeat(32));
  }
  cluster.crash(3);
  await cluster.advance(10_000);
  for (const actor of [1, 2])
    assert.deepEqual([cluster.stream(actor).group.role, cluster.server(actor).observed.campaigns], ['follower', 0]);
  cluster.start(3);
  await cluster.advance(3000);
  assert.equal(cluster.stream(3).group.role, 'leader', 'the one that is meant may be elected by them');
});

test('a change of a stopped node is refused, and is not waited for for ever', async () => {
  const cluster = await elected();
  const { group } = cluster.stream(1);
  group.stop();
  const change = fateOf(group.changeMembers([learner(4)], [memberOf(actorId(4))]));
  await cluster.settle();
  assert.equal(change.code, 'SHUTTING_DOWN');
});
