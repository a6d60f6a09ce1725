/** Members that were taken in while this node was away: it believes those that its own members vouch for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Member, Voucher } from '../../src/wire/index.js';
import { vouch } from '../../src/wire/index.js';
import {
  CLUSTER,
  GROUP,
  heartbeat,
  keyOf,
  linked,
  makeMembers,
  newInstance,
  recordingLogger,
  startNode,
  type TestNode,
  until,
} from './peer-fixture.js';

/** Signed by `by`: it has taken `member` in with the configuration at `index`. */
const voucherFor = (member: Member, index: number, by: Member): Voucher => vouch(keyOf(by), CLUSTER, { ...member, index });

const hears = (node: TestNode, from: Member): boolean => node.received.some((received) => received.from === from.actor);

async function isHeard(node: TestNode, speaker: TestNode): Promise<void> {
  await until(() => {
    speaker.links.send(node.member.actor, GROUP, heartbeat(1), []);
    return hears(node, speaker.member);
  }, `actor ${node.member.actor} listens to ${speaker.member.actor}`);
}

async function isRefused(
  context: Parameters<typeof startNode>[0],
  speaker: Parameters<typeof startNode>[1],
  words: RegExp,
  lines: FlotillaErrors,
) {
  const node = await startNode(context, speaker);
  await until(() => lines.some((line) => words.test(line)), `it is refused: ${words}`);
  assert.ok(!node.linkStates.some(({ state }) => state === 'open'));
  await node.kill();
}

type FlotillaErrors = readonly string[];

function refusalLogger() {
  const lines: string[] = [];
  const { logger } = recordingLogger('error');
  return { lines, logger: { ...logger, error: (fields: { error?: unknown }) => void lines.push(String(fields.error)) } };
}

test('newcomer_thatAMemberVouchesFor_isLetIn_andIsAMemberLikeAnyOnceTheLogTells', async (context) => {
  const [one, two, three] = await makeMembers(3);
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const a = await startNode(context, { members: [one, two], self: one });
  const newcomer = await startNode(context, { members: [one, two, three], self: three, vouchers: [voucherFor(three, 7, two)] });
  await isHeard(a, newcomer);
  await linked(a, three);
  a.links.setMembers([one, two, three]);
  assert.equal(a.links.states().get(three.actor), 'open', 'it becomes a member on the link that there is');
  a.links.setMembers([one, two]);
  await until(() => newcomer.links.states().get(one.actor) !== 'open', 'once it was a member and left it is sent away');
});

test('newcomer_thatNobodyVouchesFor_isRefused', async (context) => {
  const [one, two, three, four] = await makeMembers(4);
  assert.ok(one !== undefined && two !== undefined && three !== undefined && four !== undefined);
  const { lines, logger } = refusalLogger();
  const a = await startNode(context, { members: [one, two], self: one, logger });
  const self = { members: [one, three], self: three };
  await isRefused(context, self, /nobody that this node knows vouches for it/, lines);
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
    const before = lines.length;
    const other = await startNode(context, { ...self, bootCounter: 2, vouchers: [voucher] });
    // A refusal with the same words is logged once; a state that never opens is what counts.
    await until(() => other.linkStates.length > 0 || lines.length >= before, what);
    await until(() => !other.links.send(one.actor, GROUP, heartbeat(1), []), what);
    await other.kill();
  }
  assert.ok(!hears(a, three));
});

test('newcomer_inTheSeatOfAMember_takesItsPlace_andTheOneBeforeIsRefused', async (context) => {
  const [one, two, three] = await makeMembers(3);
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const replaced: Member = { ...three, instance: newInstance() };
  const { lines, logger } = refusalLogger();
  const a = await startNode(context, { members: [one, two, three], self: one, logger });
  const first = await startNode(context, { members: [one, two, three], self: three });
  await isHeard(a, first);
  await first.kill();
  a.received.length = 0;
  const second = await startNode(context, { members: [one, two, replaced], self: replaced, vouchers: [voucherFor(replaced, 7, two)] });
  await isHeard(a, second);
  await linked(a, replaced);
  await second.kill();
  await isRefused(context, { members: [one, two, three], self: three, bootCounter: 2 }, /only the one that was taken in last/, lines);
});

test('newcomer_isRefused_whereThisNodesLogTellsOfLaterOnes', async (context) => {
  const [one, two, three, four] = await makeMembers(4);
  assert.ok(one !== undefined && two !== undefined && three !== undefined && four !== undefined);
  const { lines, logger } = refusalLogger();
  // Actor 4 was taken in at 9, and the membership as of then has no actor 3: it was removed in between.
  await startNode(context, { members: [one, two, four], self: one, logger, vouchers: [voucherFor(four, 9, two)] });
  await isRefused(
    context,
    { members: [one, three], self: three, vouchers: [voucherFor(three, 7, two)] },
    /nobody that this node knows vouches/,
    lines,
  );
});

test('newcomer_ofNewcomers_isBelievedByWayOfThem', async (context) => {
  const [one, two, three, four] = await makeMembers(4);
  assert.ok(one !== undefined && two !== undefined && three !== undefined && four !== undefined);
  const a = await startNode(context, { members: [one, two], self: one });
  // Two took three in, and three, which led later, four: nobody that node 1 knows is left.
  const vouchers = [voucherFor(three, 7, two), voucherFor(four, 12, three)];
  const newcomer = await startNode(context, { members: [one, three, four], self: four, vouchers });
  await isHeard(a, newcomer);
});
