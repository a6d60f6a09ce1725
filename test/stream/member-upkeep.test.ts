import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, LIMITS } from '../../src/base/index.js';
import { MemberUpkeep, type Speaker } from '../../src/cluster/index.js';
import type { Member } from '../../src/wire/index.js';
import { fateOf, memberOf, ReplicaCluster } from '../support/replica-cluster.js';

const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

const moved = (actor: number, address = `elsewhere${actor}:3000`): Member => ({ ...memberOf(actorId(actor)), address });

/** Upkeep on one node; `others` is what it hears of them. */
function upkeepOn(
  cluster: ReplicaCluster,
  actor: number,
  others: () => readonly Member[],
  self = memberOf(actorId(actor)),
): MemberUpkeep {
  const { replica, clock } = cluster.server(actor);
  const speaking = (member: Member): Speaker => ({ versions: { lowest: 1, highest: 1 }, ...member });
  const upkeep = new MemberUpkeep({
    group: replica.group,
    self: speaking(self),
    others: () => others().map(speaking),
    clock,
    logger: SILENT,
  });
  upkeep.start();
  return upkeep;
}

const addressesOn = (cluster: ReplicaCluster, actor: number): string[] =>
  cluster.replica(actor).group.membership.members.map(({ address }) => address);

async function elected(): Promise<ReplicaCluster> {
  const cluster = new ReplicaCluster([1, 2, 3], { spares: [4] });
  await cluster.advance(2000, 1);
  assert.equal(cluster.replica(1).group.role, 'leader');
  return cluster;
}

test('what a member says of itself is in every log, and the members stay the same', async () => {
  const cluster = await elected();
  upkeepOn(cluster, 1, () => [moved(2)]);
  await cluster.advance(300);
  for (const actor of [1, 2, 3]) {
    assert.deepEqual(addressesOn(cluster, actor), ['node1:3000', 'elsewhere2:3000', 'node3:3000'], `node ${actor}`);
    assert.deepEqual(cluster.replica(actor).group.membership.voters, [1, 2, 3]);
  }
});

test('theLeaderTellsOfItself', async () => {
  const cluster = await elected();
  upkeepOn(cluster, 1, () => [], moved(1));
  await cluster.advance(300);
  assert.deepEqual(addressesOn(cluster, 3), ['elsewhere1:3000', 'node2:3000', 'node3:3000']);
});

test('a follower tells nothing, and does so once it leads', async () => {
  const cluster = await elected();
  upkeepOn(cluster, 2, () => [moved(3)]).check();
  await cluster.advance(300);
  assert.equal(addressesOn(cluster, 2)[2], 'node3:3000');
  cluster.crash(1);
  await cluster.elect(2);
  await cluster.advance(300);
  assert.equal(addressesOn(cluster, 3)[2], 'elsewhere3:3000');
});

test("what can't be told while another change is under way is tried again", async () => {
  const cluster = await elected();
  cluster.cut(2);
  cluster.cut(3);
  const change = fateOf(
    cluster.replica(1).group.changeMembers([{ actor: actorId(4), to: 'learner' }], [memberOf(actorId(4))]),
  );
  upkeepOn(cluster, 1, () => [moved(2)]);
  await cluster.advance(200);
  assert.equal(addressesOn(cluster, 1)[1], 'node2:3000', 'one change at a time');
  cluster.heal(2);
  cluster.heal(3);
  await cluster.advance(2 * LIMITS.memberUpkeepMs + 500);
  assert.equal(change.state, 'resolved');
  assert.equal(addressesOn(cluster, 3)[1], 'elsewhere2:3000');
});

test('another data directory of that name, and a node that is no member, say nothing', async () => {
  const cluster = await elected();
  const before = cluster.replica(1).group.membership;
  upkeepOn(cluster, 1, () => [{ ...moved(2), instance: 'f'.repeat(32) }, moved(4)]);
  await cluster.advance(300);
  assert.equal(cluster.replica(1).group.membership, before);
});

test('making a new member a voter does not take back what was told meanwhile', async () => {
  const cluster = await elected();
  cluster.cut(4);
  const change = fateOf(
    cluster.replica(1).group.changeMembers([{ actor: actorId(4), to: 'learner' }], [memberOf(actorId(4))]),
  );
  await cluster.advance(300);
  assert.equal(change.state, 'resolved');
  await handOver(cluster, 1, 2);
  void cluster.replica(2).group.members.republish({ members: [moved(4)] });
  await cluster.advance(300);
  await handOver(cluster, 2, 1);
  cluster.heal(4);
  await cluster.advance(1000);
  assert.deepEqual(cluster.replica(1).group.membership.voters, [1, 2, 3, 4]);
  assert.equal(addressesOn(cluster, 2)[3], 'elsewhere4:3000');
});

const speaking = (actor: number, highest: number): Speaker => ({
  ...memberOf(actorId(actor)),
  versions: { lowest: 1, highest },
});

test('a version is active once every member speaks it, and never goes back', async () => {
  const cluster = await elected();
  let others = [speaking(2, 2)];
  const upkeep = upkeepOn(cluster, 1, () => others, speaking(1, 3));
  const active = (): number[] => [1, 2, 3].map((actor) => cluster.replica(actor).group.members.activeVersion);
  await cluster.advance(300);
  assert.deepEqual(active(), [1, 1, 1], 'who is not there may come back as an older one');
  others = [speaking(2, 2), speaking(3, 1)];
  upkeep.check();
  await cluster.advance(300);
  assert.deepEqual(active(), [1, 1, 1]);
  others = [speaking(2, 2), speaking(3, 3)];
  upkeep.check();
  await cluster.advance(300);
  assert.deepEqual(active(), [2, 2, 2]);
  // No node that comes or goes takes it back.
  others = [speaking(2, 1)];
  upkeep.check();
  const change = fateOf(cluster.replica(1).group.changeMembers([{ actor: actorId(3), to: 'removed' }]));
  await cluster.advance(300);
  assert.equal(change.state, 'resolved');
  assert.equal(cluster.replica(2).group.members.activeVersion, 2);
  cluster.crash(2);
  cluster.start(2);
  await cluster.advance(300);
  assert.equal(cluster.replica(2).group.members.activeVersion, 2);
});

test('a version that is not committed is not active', async () => {
  const cluster = await elected();
  cluster.cut(2);
  cluster.cut(3);
  upkeepOn(cluster, 1, () => [speaking(2, 2), speaking(3, 2)], speaking(1, 2));
  await cluster.advance(200);
  assert.equal(cluster.replica(1).group.membership.activeVersion, 2, 'it is in the log');
  assert.equal(cluster.replica(1).group.members.activeVersion, 1);
});

test('a learner that speaks less holds a version back', async () => {
  const cluster = await elected();
  cluster.cut(4);
  const change = fateOf(
    cluster.replica(1).group.changeMembers([{ actor: actorId(4), to: 'learner' }], [memberOf(actorId(4))]),
  );
  await cluster.advance(300);
  assert.equal(change.state, 'resolved');
  upkeepOn(cluster, 1, () => [speaking(2, 2), speaking(3, 2), speaking(4, 1)], speaking(1, 2));
  await cluster.advance(300);
  assert.equal(cluster.replica(1).group.members.activeVersion, 1);
});

async function handOver(cluster: ReplicaCluster, from: number, to: number): Promise<void> {
  void cluster.replica(from).group.handOver(1000, actorId(to));
  await cluster.advance(300);
  assert.equal(cluster.replica(to).group.role, 'leader');
}
