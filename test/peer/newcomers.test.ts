/** Members that were taken in while this node was away: it believes those that its own members vouch for. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { logIndex, type Member, term, type Voucher } from '../../src/base/index.js';
import type { Logger } from '../../src/group/index.js';
import { vouch } from '../../src/wire/index.js';
import {
  CLUSTER,
  freePorts,
  GROUP,
  heartbeat,
  keyOf,
  linked,
  makeMembers,
  newInstance,
  silentLogger,
  startNode,
  type TestNode,
  until,
} from './peer-fixture.js';

/** That is refused which this logger is given as an error. */
function refusalLogger(): { readonly lines: readonly string[]; readonly logger: Logger } {
  const lines: string[] = [];
  return {
    lines,
    logger: { ...silentLogger, error: (fields) => void lines.push(String((fields as { error?: unknown }).error)) },
  };
}

/** Signed by `by`: it has taken `member` in with the configuration at `index`. */
const voucherFor = (member: Member, index: number, by: Member): Voucher =>
  vouch(keyOf(by), CLUSTER, { ...member, index });

const freeAddress = async (): Promise<string> => `127.0.0.1:${(await freePorts(1))[0]}`;

const hears = (node: TestNode, from: Member): boolean => node.received.some((received) => received.from === from.actor);

async function isLetIn(speaker: TestNode, node: TestNode): Promise<void> {
  await linked(speaker, node.member);
  speaker.links.send(node.member.actor, GROUP, heartbeat(1), []);
  await until(() => hears(node, speaker.member), `actor ${node.member.actor} listens to ${speaker.member.actor}`);
}

/** Starts a node that `words` are said of in `lines`, where it is refused, and stops it. */
async function isRefused(
  context: TestContext,
  speaker: Parameters<typeof startNode>[1],
  { words, lines }: { readonly words: RegExp; readonly lines: readonly string[] },
): Promise<void> {
  const node = await startNode(context, speaker);
  await until(() => lines.some((line) => words.test(line)), `it is refused: ${words}`);
  assert.ok(!node.linkStates.some(({ state }) => state === 'open'));
  await node.kill();
}

test('a newcomer that a member vouches for is let in, and is a member like any once the log tells', async (context) => {
  const [one, two, three] = await makeMembers(3);
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const a = await startNode(context, { members: [one, two], self: one });
  const newcomer = await startNode(context, {
    members: [one, two, three],
    self: three,
    vouchers: [voucherFor(three, 7, two)],
  });
  await isLetIn(newcomer, a);
  await linked(a, three);
  a.links.setMembers([one, two, three]);
  assert.equal(a.links.states().get(three.actor), 'open', 'it becomes a member on the link that there is');
  a.links.setMembers([one, two]);
  await until(() => newcomer.links.states().get(one.actor) !== 'open', 'once it was a member and left it is sent away');
});

test('a newcomer without a voucher is refused', async (context) => {
  const [one, two, three, four] = await makeMembers(4);
  assert.ok(one !== undefined && two !== undefined && three !== undefined && four !== undefined);
  const { lines, logger } = refusalLogger();
  await startNode(context, { members: [one, two], self: one, logger });
  const self = { members: [one, three], self: three };
  await isRefused(context, self, { words: /nobody that this node knows vouches for it/, lines });
  const forged: readonly [string, Voucher][] = [
    ['by itself', voucherFor(three, 7, three)],
    ['by a stranger', voucherFor(three, 7, four)],
    ['for another actor id', { ...voucherFor({ ...three, actor: four.actor }, 7, two), actor: three.actor }],
    ['for another data directory', { ...voucherFor(four, 7, two), actor: three.actor, instance: three.instance }],
    ['as of another index', { ...voucherFor(three, 7, two), index: 8 }],
    ['in another cluster', vouch(keyOf(two), 'd'.repeat(32), { ...three, index: 7 })],
    ['with a signature that is none', { ...voucherFor(three, 7, two), signature: 'AAAA' }],
  ];
  for (const [what, voucher] of forged) {
    let calls = 0;
    const node = await startNode(context, {
      members: [one, two],
      self: { ...one, address: await freeAddress() },
      onCall: () => void calls++,
    });
    const other = await startNode(context, {
      members: [node.member, three],
      self: { ...three, address: await freeAddress() },
      vouchers: [voucher],
    });
    await until(() => calls >= 3, `${what}: it knocks again and again`);
    assert.ok(!other.linkStates.some(({ state }) => state === 'open'), what);
    assert.deepEqual(node.received, [], what);
    await Promise.all([node.kill(), other.kill()]);
  }
});

test('a newcomer in the seat of a member takes its place, and the one before is refused', async (context) => {
  const [one, two, three] = await makeMembers(3);
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const replaced: Member = { ...three, instance: newInstance() };
  const { lines, logger } = refusalLogger();
  // The group's log still names the one before.
  const seatOf = (): Member => three;
  const a = await startNode(context, { members: [one, two, three], self: one, logger, seatOf });
  const first = await startNode(context, { members: [one, two, three], self: three });
  await isLetIn(first, a);
  await first.kill();
  a.received.length = 0;
  const second = await startNode(context, {
    members: [one, two, replaced],
    self: replaced,
    vouchers: [voucherFor(replaced, 7, two)],
  });
  await isLetIn(second, a);
  await until(() => a.links.states().get(replaced.actor) === 'open', 'it is dialled back');

  const vote = { type: 'vote-response', term: term(1), granted: true, preVote: false } as const;
  const campaign = {
    type: 'vote-request',
    term: term(1),
    lastIndex: logIndex(1),
    lastTerm: term(1),
    preVote: false,
  } as const;
  assert.ok(second.links.send(one.actor, GROUP, vote, []));
  assert.ok(second.links.send(one.actor, GROUP, { ...campaign, leadershipTransfer: false }, []));
  await until(
    () => a.received.some(({ message }) => message.type === 'vote-request'),
    'it is listened to as a candidate',
  );
  assert.ok(
    !a.received.some(({ message }) => message.type === 'vote-response'),
    'its vote would count for the one before it',
  );
  assert.ok(a.links.send(replaced.actor, GROUP, vote, []), 'it is answered');
  assert.equal(
    a.links.send(replaced.actor, GROUP, { ...campaign, leadershipTransfer: false }, []),
    false,
    'it is not asked',
  );
  await second.kill();
  await isRefused(
    context,
    { members: [one, two, three], self: three, bootCounter: 2 },
    { words: /only the one that was taken in last/, lines },
  );
});

test("a newcomer is refused where this node's log tells of later ones", async (context) => {
  const [one, two, three, four] = await makeMembers(4);
  assert.ok(one !== undefined && two !== undefined && three !== undefined && four !== undefined);
  const { lines, logger } = refusalLogger();
  // Actor 4 was taken in at 9, and the membership as of then has no actor 3: it was removed in between.
  await startNode(context, { members: [one, two, four], self: one, logger, vouchers: [voucherFor(four, 9, two)] });
  await isRefused(
    context,
    { members: [one, three], self: three, vouchers: [voucherFor(three, 7, two)] },
    { words: /nobody that this node knows vouches/, lines },
  );
});

test('a newcomer that another newcomer vouches for is believed by way of that one', async (context) => {
  const [one, two, three, four] = await makeMembers(4);
  assert.ok(one !== undefined && two !== undefined && three !== undefined && four !== undefined);
  const a = await startNode(context, { members: [one, two], self: one });
  // Two took three in, and three, which led later, four: no member that node 1 knows is left.
  const vouchers = [voucherFor(three, 7, two), voucherFor(four, 12, three)];
  const newcomer = await startNode(context, { members: [one, three, four], self: four, vouchers });
  await isLetIn(newcomer, a);
});
