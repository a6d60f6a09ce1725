/**
 * Which nodes are let in by what was seen of their earlier starts, and what members give each other of their records.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logIndex, type Member } from '../../src/base/index.js';
import {
  GROUP,
  heartbeat,
  linked,
  makeAppend,
  makeMembers,
  RememberedBoots,
  startNode,
  type TestNode,
  until,
} from './peer-fixture.js';

const isOpen = (node: TestNode, peer: Member): boolean => node.links.states().get(peer.actor) === 'open';

const BOOTS = ['a', 'b', 'c', 'd'].map((id) => id.repeat(16));

/** Node 2 was seen at its start 5; then it comes back as `second`. */
async function comesBack(context: Parameters<typeof startNode>[0], second: Partial<Parameters<typeof startNode>[1]>) {
  const [one, two] = await makeMembers(2);
  assert.ok(one !== undefined && two !== undefined);
  const members = [one, two];
  const memory = new RememberedBoots();
  const a = await startNode(context, { members, self: one, memory });
  const first = await startNode(context, { members, self: two, bootCounter: 5, boots: BOOTS.slice(0, 2) });
  await linked(first, one);
  await first.kill();
  return { a, one, two, b: await startNode(context, { members, self: two, ...second }) };
}

for (const [what, second] of Object.entries({
  'an older start': { bootCounter: 4, boots: BOOTS.slice(0, 1) },
  'another start of the same number': { bootCounter: 5, boots: [BOOTS[0] ?? '', BOOTS[2] ?? ''] },
  'a later start that knows nothing of the one that was seen': {
    bootCounter: 6,
    boots: [BOOTS[0] ?? '', BOOTS[2] ?? '', BOOTS[3] ?? ''],
  },
})) {
  test(`a node that comes with ${what} is refused, and takes nothing in until it hears of that`, async (context) => {
    const { a, two, b } = await comesBack(context, second);
    // What node 1 says to it comes to nothing: node 1 does not listen to it.
    const asking = setInterval(() => a.links.send(two.actor, GROUP, heartbeat(1), []), 1);
    await until(() => b.fatal.length > 0, 'it hears that it was rolled back');
    clearInterval(asking);
    assert.equal(b.fatal[0]?.code, 'ROLLED_BACK');
    assert.deepEqual(b.received, []);
    assert.ok(!b.linkStates.some(({ state }) => state === 'open'));
  });
}

test('a node with a later start is let in', async (context) => {
  const { b, one } = await comesBack(context, { bootCounter: 7, boots: BOOTS });
  await linked(b, one);
});

test('what a peer says waits until it has let this node in', async (context) => {
  const [one, two] = await makeMembers(2);
  assert.ok(one !== undefined && two !== undefined);
  let remember: () => void = () => undefined;
  const remembered = new Promise<void>((resolve) => {
    remember = resolve;
  });
  const memory = new RememberedBoots();
  // Node 1 lets node 2 in when it has noted its start, which takes it a while.
  const slow = { lastBoot: (instance: string) => memory.lastBoot(instance), saw: async () => await remembered };
  const a = await startNode(context, { members: [one, two], self: one, memory: slow });
  const b = await startNode(context, { members: [one, two], self: two });
  await until(() => isOpen(a, two), 'node 1 has been let in');
  a.links.send(two.actor, GROUP, heartbeat(1), []);
  await until(() => b.linkStates.length > 0 || a.links.send(two.actor, GROUP, heartbeat(1), []), 'it was sent');
  assert.deepEqual(b.received, []);
  remember();
  await until(() => b.received.length > 0, 'it is taken in');
});

test('a fetch brings records of another member, and a stranger gets none', async (context) => {
  const { records } = makeAppend(3);
  const [one, two, three] = await makeMembers(3);
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const a = await startNode(context, { members: [one, two], self: one });
  await startNode(context, {
    members: [one, two],
    self: two,
    onFetch: async (_group, from, to) => records.filter(({ index }) => index >= from && index <= to),
  });
  await linked(a, two);
  const fetched = await a.links.fetch(two.actor, GROUP, { from: logIndex(2), to: logIndex(3) });
  assert.deepEqual(
    fetched.map(({ checksum }) => checksum),
    records.slice(1).map(({ checksum }) => checksum),
  );
  const stranger = await startNode(context, { members: [three, { ...two, instance: 'f'.repeat(32) }], self: three });
  await assert.rejects(stranger.links.fetch(two.actor, GROUP, { from: logIndex(2), to: logIndex(3) }), {
    code: 'FOREIGN_NODE',
  });
});
