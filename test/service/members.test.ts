import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId } from '../../src/base/index.js';
import { type MembersView, takeInMember } from '../../src/service/index.js';
import type { Member } from '../../src/wire/index.js';
import { fateOf, memberOf, ReplicaCluster } from '../support/replica-cluster.js';

const CLUSTER = 'c'.repeat(32);
const former = memberOf(actorId(3));
const successor: Member = { ...former, instance: '9'.repeat(32) };
const predecessor = former.instance;

/** Node 1 leads; node 3 was stopped, and comes back with another instance. */
async function withoutThree(links: MembersView['links']): Promise<{ cluster: ReplicaCluster; view: MembersView }> {
  const cluster = new ReplicaCluster([1, 2, 3], {});
  await cluster.advance(2000, 1);
  const replica = cluster.replica(1);
  assert.equal(replica.group.role, 'leader');
  return {
    cluster,
    view: { self: memberOf(actorId(1)), clusterId: CLUSTER, replica, links, leaderAddress: undefined },
  };
}

const TWO_IS_THERE: MembersView['links'] = new Map([
  [actorId(2), 'open'],
  [actorId(3), 'refused'],
]);

test('the successor of a damaged member takes its seat, as a learner', async () => {
  const { cluster, view } = await withoutThree(TWO_IS_THERE);
  const taken = fateOf(takeInMember(view, successor, predecessor));
  await cluster.advance(1000, 1);
  assert.equal(taken.state, 'resolved');
  const { membership } = cluster.replica(1).group;
  assert.equal(membership.members.find(({ actor }) => actor === successor.actor)?.instance, successor.instance);
  assert.ok(!membership.outgoing.includes(successor.actor));
});

test('a successor is refused unless it names the member that it was', async () => {
  const { view } = await withoutThree(TWO_IS_THERE);
  const before = view.replica?.group.membership;
  await assert.rejects(takeInMember(view, successor), { code: 'FOREIGN_NODE', message: /actor id 3 is taken/ });
  await assert.rejects(takeInMember(view, successor, '8'.repeat(32)), { code: 'FOREIGN_NODE' });
  assert.equal(view.replica?.group.membership, before);
});

test('a successor waits while its predecessor is linked, and where the others are no majority', async () => {
  const linked = await withoutThree(new Map([...TWO_IS_THERE, [actorId(3), 'open']]));
  await assert.rejects(takeInMember(linked.view, successor, predecessor), { code: 'NOT_READY' });
  const alone = await withoutThree(new Map([[actorId(2), 'closed']]));
  await assert.rejects(takeInMember(alone.view, successor, predecessor), { code: 'QUORUM_AT_RISK' });
});
