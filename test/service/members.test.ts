import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, groupId, type Member, present } from '../../src/base/index.js';
import { type MembersView, removeMember, takeInMember } from '../../src/service/members.js';
import { fateOf, memberOf } from '../support/group-parts.js';
import { CLUSTER, HostCluster } from '../support/host-cluster.js';

/** A founded cluster of three; the view is that of the node that leads group 0, and `other` is no leader. */
async function viewOf(
  linked: (other: number, third: number) => readonly number[],
): Promise<{ cluster: HostCluster; view: MembersView; other: Member; successor: Member }> {
  const cluster = new HostCluster(1, { withCluster: true });
  const stateOf = (actor: number) => present(cluster.node(actor).cluster, 'it has group 0').cluster;
  await cluster.advanceUntil(
    'it is founded',
    10_000,
    () => cluster.allLed && [1, 2, 3].every((actor) => stateOf(actor).state.clusterId !== ''),
  );
  const leader = [1, 2, 3].find((actor) => stateOf(actor).group.role === 'leader') ?? assert.fail();
  const [other = 0, third = 0] = [1, 2, 3].filter((actor) => actor !== leader);
  const { host } = cluster.node(leader);
  const view: MembersView = {
    self: memberOf(actorId(leader)),
    clusterId: CLUSTER,
    cluster: stateOf(leader),
    stream: cluster.stream(leader, groupId(1)),
    groups: [...host.all],
    isLinked: ({ actor }) => linked(other, third).includes(actor),
    addressOf: () => undefined,
    vouch: (claim) => ({ ...claim, by: 'key', signature: 'signature' }),
  };
  const member = memberOf(actorId(other));
  return { cluster, view, other: member, successor: { ...member, instance: '9'.repeat(32) } };
}

const OTHER_IS_GONE = (_other: number, third: number): number[] => [third];

test('the successor of a damaged member takes its seat, as a learner', async () => {
  const { cluster, view, other, successor } = await viewOf(OTHER_IS_GONE);
  cluster.crash(other.actor, 'refused');
  const taken = fateOf(takeInMember(view, successor, other.instance));
  await cluster.advance(1500);
  assert.equal(taken.state, 'resolved', taken.code);
  for (const { membership } of view.groups) {
    assert.equal(membership.members.find(({ actor }) => actor === other.actor)?.instance, successor.instance);
    assert.ok(!membership.outgoing.includes(other.actor));
  }
});

test('a successor is refused unless it names the member that it was', async () => {
  const { cluster, view, successor } = await viewOf(OTHER_IS_GONE);
  const before = view.cluster?.state;
  const refused = [undefined, '8'.repeat(32)].map((named) => fateOf(takeInMember(view, successor, named)));
  await cluster.advance(500);
  assert.deepEqual(
    refused.map(({ code }) => code),
    ['FOREIGN_NODE', 'FOREIGN_NODE'],
  );
  assert.equal(view.cluster?.state, before);
});

test('a successor waits while its predecessor is linked, and where the others are no majority', async () => {
  const linked = await viewOf((other, third) => [other, third]);
  await assert.rejects(takeInMember(linked.view, linked.successor, linked.other.instance), { code: 'NOT_READY' });
  const alone = await viewOf(() => []);
  await assert.rejects(takeInMember(alone.view, alone.successor, alone.other.instance), { code: 'QUORUM_AT_RISK' });
});

test('a member that the others need is not removed, and one that is none is named', async () => {
  const { view, other } = await viewOf((other) => [other]);
  const before = view.cluster?.state;
  await assert.rejects(removeMember(view, other.actor), { code: 'QUORUM_AT_RISK' });
  await assert.rejects(removeMember(view, 9), { code: 'INVALID_ARGUMENT', message: /actor 9 is no member/ });
  assert.equal(view.cluster?.state, before);
});

test('a member is asked of the leader of group 0 only', async () => {
  const { cluster, view, other } = await viewOf(OTHER_IS_GONE);
  const elsewhere = { ...view, cluster: cluster.node(other.actor).cluster?.cluster, addressOf: () => 'leader:3000' };
  await assert.rejects(removeMember(elsewhere, other.actor), { code: 'NOT_LEADER', leader: 'leader:3000' });
});
