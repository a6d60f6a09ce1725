import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { actorId, FlotillaError, LIMITS, type Member } from '../../src/base/index.js';
import { type DiscoveryClient, PeerDiscovery } from '../../src/peer/index.js';
import type { proto } from '../../src/wire/index.js';
import { ManualClock } from '../support/manual-clock.js';
import { CLUSTER, silentLogger } from './peer-fixture.js';

const member = (actor: number, address: string): Member => ({
  actor: actorId(actor),
  instance: String(actor).repeat(32),
  address,
});
const toProto = ({ actor, instance, address }: Member): proto.Member => ({
  actorId: actor,
  instanceId: instance,
  address,
});

const answer = (self: Member, members: readonly Member[], clusterId = CLUSTER): proto.IntroduceResponse => ({
  self: toProto(self),
  clusterId,
  clusterMembers: members.map(toProto),
  peerAddresses: [],
  known: [],
  promised: [],
  protocolVersion: 1,
  highestVersion: 2,
  withoutAddresses: [],
});

interface Searching {
  readonly asked: string[];
  readonly found: string[];
  missing: readonly Member[];
  readonly search: PeerDiscovery;
  /** Lets one pause between two rounds pass. */
  round(): Promise<void>;
}

function searching(answers: Readonly<Record<string, proto.IntroduceResponse>>, missing: readonly Member[]): Searching {
  const clock = new ManualClock();
  const asked: string[] = [];
  const found: string[] = [];
  const discovery: DiscoveryClient = {
    introduce: async (address) => {
      asked.push(address);
      const said = answers[address];
      if (said === undefined) throw new FlotillaError('UNREACHABLE', 'nobody there');
      return said;
    },
    join: () => Promise.reject(new Error('nobody joins')),
    keep: () => undefined,
  };
  const search = new PeerDiscovery({
    self: member(1, 'here:1'),
    clusterId: CLUSTER,
    missing: () => state.missing,
    peerAddresses: ['a:1', 'b:1'],
    onFound: ({ actor, address }) => void found.push(`${actor} ${address}`),
    clock,
    logger: silentLogger,
    discovery,
  });
  const state: Searching = {
    asked,
    found,
    missing,
    search,
    round: async () => {
      clock.stall(LIMITS.memberSearchMs);
      clock.runTimers();
      for (let turns = 0; turns < 5; turns++) await turn();
    },
  };
  search.start();
  return state;
}

const TWO = member(2, 'two:1');
const THREE = member(3, 'three:1');

test('while a member is missing, the peer addresses are asked, and tell of themselves and of the others', async () => {
  const state = searching({ 'b:1': answer(member(2, 'new-two:1'), [THREE]) }, [TWO, THREE]);
  await state.round();
  assert.deepEqual(state.asked, ['a:1', 'b:1']);
  assert.deepEqual(state.found, ['3 three:1', '2 new-two:1'], 'the one that is not there does no harm');
  await state.round();
  assert.equal(state.asked.length, 4, 'again and again');
  state.missing = [];
  await state.round();
  assert.equal(state.asked.length, 4, 'not for its own sake');
});

test('another cluster is not listened to', async () => {
  const state = searching({ 'a:1': answer(TWO, [THREE], 'f'.repeat(32)) }, [TWO]);
  await state.round();
  assert.deepEqual(state.found, []);
});

test('no node is asked any more once it is stopped', async () => {
  const state = searching({}, [TWO]);
  state.search.stop();
  await state.round();
  assert.deepEqual(state.asked, []);
});
