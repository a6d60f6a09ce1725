/** Members, their addresses and versions in group 0, and how the configurations of all groups follow them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, groupId, type Member, present } from '../../src/base/index.js';
import { CLUSTER_GROUP, type Cluster, type Speaker } from '../../src/cluster/index.js';
import type { HostedGroup } from '../../src/group/index.js';
import type { ClusterState } from '../../src/machine/cluster/index.js';
import { fateOf, memberOf } from '../support/group-parts.js';
import { CLUSTER, HostCluster } from '../support/host-cluster.js';

const STREAM = groupId(1);
const elsewhere = (actor: number): Member => ({ ...memberOf(actorId(actor)), address: `elsewhere${actor}:3000` });
const speaking = (actor: number, highest = 1, member = memberOf(actorId(actor))): Speaker => ({
  ...member,
  versions: { lowest: 1, highest },
});
let signed = 100;
const voucherOf = ({ actor, instance }: Member) => ({ actor, instance, index: signed++, by: 'key', signature: 'it' });

function clusterOn(cluster: HostCluster, actor: number): Cluster {
  return present(cluster.node(actor).cluster, 'it has the group of the cluster').cluster;
}

const stateOn = (cluster: HostCluster, actor: number): ClusterState => clusterOn(cluster, actor).state;

function groupOn(cluster: HostCluster, actor: number, group: typeof STREAM): HostedGroup {
  return present(cluster.node(actor).host.group(group), 'it has that group');
}

/** The node that leads group 0, once there is one and the cluster is founded. */
async function led(cluster: HostCluster): Promise<number> {
  const leaders = (): number[] =>
    [...cluster.nodes.keys()].filter(
      (actor) => clusterOn(cluster, actor).group.role === 'leader' && stateOn(cluster, actor).clusterId !== '',
    );
  await cluster.advanceUntil('group 0 is led', 10_000, () => leaders().length === 1 && cluster.allLed);
  return leaders()[0] ?? assert.fail();
}

async function founded(spares: readonly number[] = []): Promise<HostCluster> {
  const cluster = new HostCluster(1, { withCluster: true, spares });
  await led(cluster);
  await cluster.advance(500);
  return cluster;
}

/** Voters, and instances of all that are named, by both groups on each node. */
function configurations(cluster: HostCluster, ...actors: number[]): unknown[] {
  return actors.flatMap((actor) =>
    [CLUSTER_GROUP, STREAM].map((group) => {
      const { voters, outgoing, learners, members } = groupOn(cluster, actor, group).membership;
      return { voters, outgoing, learners, instances: members.map(({ instance }) => instance) };
    }),
  );
}

const votersOnly = (...members: Member[]) => ({
  voters: members.map(({ actor }) => actor),
  outgoing: [],
  learners: [],
  instances: members.map(({ instance }) => instance),
});

test('the first leader founds the cluster, and all nodes have the same state', async () => {
  const cluster = await founded();
  for (const actor of [1, 2, 3]) {
    const { clusterId, members, activeVersion } = stateOn(cluster, actor);
    assert.deepEqual([clusterId, activeVersion], [CLUSTER, 1]);
    assert.deepEqual(
      members,
      [1, 2, 3].map((each) => memberOf(actorId(each))),
    );
  }
});

test('a node that is taken in votes in each group once it has caught up', async () => {
  const cluster = await founded([4]);
  const leader = await led(cluster);
  cluster.start(4);
  const member = memberOf(actorId(4));
  const taken = fateOf(clusterOn(cluster, leader).takeIn(member, voucherOf(member)));
  await cluster.advance(2000);
  assert.equal(taken.state, 'resolved');
  const all = [1, 2, 3, 4].map((actor) => memberOf(actorId(actor)));
  for (const found of configurations(cluster, 1, 2, 3, 4)) assert.deepEqual(found, votersOnly(...all));
  assert.deepEqual(stateOn(cluster, 4).members, all);
});

test('a member that is removed is in no configuration any more when that resolves', async () => {
  const cluster = await founded();
  const leader = await led(cluster);
  const [leaving = 0] = [1, 2, 3].filter((actor) => actor !== leader);
  const removed = fateOf(clusterOn(cluster, leader).remove(memberOf(actorId(leaving))));
  await cluster.advanceUntil('it is removed', 5000, () => removed.state !== 'pending');
  assert.equal(removed.state, 'resolved', removed.code);
  const others = [1, 2, 3].filter((actor) => actor !== leaving);
  await cluster.advance(500);
  for (const found of configurations(cluster, ...others))
    assert.deepEqual(found, votersOnly(...others.map((actor) => memberOf(actorId(actor)))));
  for (const actor of others) assert.equal(stateOn(cluster, actor).members.length, 2);
});

test('the node that leads group 0 takes itself out, and the next leader forgets it', async () => {
  const cluster = await founded();
  const leader = await led(cluster);
  const removed = fateOf(clusterOn(cluster, leader).remove(memberOf(actorId(leader))));
  await cluster.advanceUntil('it is removed', 5000, () => removed.state !== 'pending');
  assert.equal(removed.state, 'resolved', removed.code);
  cluster.crash(leader, 'refused');
  const others = [1, 2, 3].filter((actor) => actor !== leader);
  await cluster.advanceUntil('it is forgotten', 10_000, () =>
    others.every((actor) => stateOn(cluster, actor).members.length === 2),
  );
  for (const found of configurations(cluster, ...others))
    assert.deepEqual(found, votersOnly(...others.map((actor) => memberOf(actorId(actor)))));
});

test('a node that takes the seat of the one that it was takes it in each group', async () => {
  const cluster = await founded();
  const leader = await led(cluster);
  const [lost = 0, ...rest] = [1, 2, 3].filter((actor) => actor !== leader);
  const successor: Member = { ...memberOf(actorId(lost)), instance: 'f'.repeat(32) };
  cluster.crash(lost, 'refused');
  const before = memberOf(actorId(lost)).instance;
  const taken = fateOf(clusterOn(cluster, leader).takeIn(successor, voucherOf(successor), before));
  await cluster.advance(1000);
  assert.equal(taken.state, 'resolved');
  for (const found of configurations(cluster, leader, ...rest)) {
    const { instances } = found as ReturnType<typeof votersOnly>;
    assert.ok(!instances.includes(before) && instances.includes(successor.instance));
  }
});

test('a leader that lags behind in group 0 takes out no member that it has not heard of', async () => {
  const cluster = await founded([4]);
  const leader = await led(cluster);
  const ofStream = present(cluster.leaders()[0], 'the stream is led');
  const lagging = present(
    [1, 2, 3].find((actor) => actor !== leader && actor !== ofStream),
    'a third node',
  );
  cluster.loses = ({ to, what }) => what?.group === CLUSTER_GROUP && to === lagging;
  cluster.start(4);
  const member = memberOf(actorId(4));
  void clusterOn(cluster, leader).takeIn(member, voucherOf(member));
  await cluster.advance(2000);
  void cluster.stream(ofStream, STREAM).group.handOver(1000, actorId(lagging));
  await cluster.advance(2000);
  const { group } = cluster.stream(lagging, STREAM);
  assert.equal(group.role, 'leader');
  assert.equal(stateOn(cluster, lagging).members.length, 3, 'it lags behind');
  assert.deepEqual(group.membership.voters, [1, 2, 3, 4]);
  cluster.loses = () => false;
  await cluster.advance(2000);
  assert.deepEqual([stateOn(cluster, lagging).members.length, group.membership.voters], [4, [1, 2, 3, 4]]);
});

test('where members are is put into the state by the leader', async () => {
  const cluster = await founded();
  const leader = await led(cluster);
  const [second = 0, third = 0] = [1, 2, 3].filter((actor) => actor !== leader);
  const part = present(cluster.node(leader).cluster, 'it has the group of the cluster');
  const hears = async (...said: Speaker[]): Promise<ClusterState[]> => {
    part.said = said;
    part.reconciler.check();
    await cluster.advance(500);
    return [1, 2, 3].map((actor) => stateOn(cluster, actor));
  };
  for (const { members } of await hears(speaking(second, 1, elsewhere(second))))
    assert.equal(members.find(({ actor }) => actor === second)?.address, `elsewhere${second}:3000`);
  const stranger = { ...speaking(third, 1, elsewhere(third)), instance: 'f'.repeat(32) };
  for (const { members } of await hears(stranger, speaking(4)))
    assert.deepEqual([members.length, members.find(({ actor }) => actor === third)?.address], [3, `node${third}:3000`]);
});
