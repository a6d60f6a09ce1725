/**
 * An outsider knows what every node tells every caller: the cluster's id, and each member's actor, instance and
 * address. It sends every message between nodes with every field forged. OUTSIDER_ROUNDS=10000 for more than the tests
 * have time for.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, FlotillaError, type Member, seededRandom } from '../../src/base/index.js';
import { CallerHandshake } from '../../src/peer/handshake.js';
import { RpcClient } from '../../src/rpc/index.js';
import { NodeKey, proto, SPOKEN_VERSIONS } from '../../src/wire/index.js';
import { withReadyCluster } from '../support/cluster.js';
import { RecordedProducers } from '../support/recorded-producers.js';

const ROUNDS = Number(process.env['OUTSIDER_ROUNDS'] ?? 200);
const CALL_MS = 2000;

type Peer = RpcClient<typeof proto.PeerServiceDefinition>;
type Pick = <Choice>(choices: readonly Choice[]) => Choice;

/** Numbers that have broken something once, and some that are likely. */
const NUMBERS = [0, 1, 2, 3, 7, 50, 1000, 65_536, 2 ** 31, 2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER];

function anyMessage(pick: Pick): NonNullable<proto.DeliverRequest['message']> {
  const number = (): number => pick(NUMBERS);
  const flag = (): boolean => pick([true, false]);
  const bytes = (): Uint8Array => Buffer.alloc(pick([0, 1, 52, 60, 1000]), pick([0, 1, 255]));
  const messages: readonly (() => NonNullable<proto.DeliverRequest['message']>)[] = [
    () => ({
      $case: 'voteRequest',
      value: { term: number(), lastIndex: number(), lastTerm: number(), preVote: flag(), leadershipTransfer: flag() },
    }),
    () => ({ $case: 'voteResponse', value: { term: number(), granted: flag(), preVote: flag() } }),
    () => ({
      $case: 'append',
      value: {
        term: number(),
        previousIndex: number(),
        previousTerm: number(),
        commitIndex: number(),
        records: pick([[], [bytes()]]),
      },
    }),
    () => ({
      $case: 'appendResult',
      value: { term: number(), accepted: flag(), index: number(), hintIndex: number(), hintTerm: number() },
    }),
    () => ({ $case: 'heartbeat', value: { term: number(), commitIndex: number(), round: number(), quiesce: flag() } }),
    () => ({
      $case: 'heartbeatResult',
      value: { term: number(), round: number(), quiesced: flag(), diskPressure: pick([0, 1, 2]) },
    }),
    () => ({ $case: 'timeoutNow', value: { term: number() } }),
    () => ({ $case: 'readIndexRequest', value: { term: number(), requestId: number() } }),
    () => ({ $case: 'readIndexResponse', value: { term: number(), requestId: number(), index: number() } }),
    () => ({
      $case: 'snapshot',
      value: {
        term: number(),
        index: number(),
        indexTerm: number(),
        offset: number(),
        totalBytes: number(),
        digest: pick(['', 'a'.repeat(64)]),
        data: bytes(),
      },
    }),
    () => ({ $case: 'snapshotResult', value: { term: number(), index: number(), receivedBytes: number() } }),
    () => ({ $case: 'nodeHeartbeat', value: {} }),
  ];
  return pick(messages)();
}

/** What an outsider can find out, and make up. */
interface Outsider {
  readonly pick: Pick;
  readonly clusterId: string;
  readonly members: readonly Member[];
  readonly key: NodeKey;
}

function forgedHandshake({ pick, clusterId, members, key }: Outsider, wanted: Member, method: string): CallerHandshake {
  const victim = pick(members);
  const self = {
    actor: pick([victim.actor, actorId(4), actorId(65_535)]),
    instance: pick([victim.instance, key.instance, '0'.repeat(32)]),
    address: pick([victim.address, '127.0.0.1:9']),
  };
  const hello = {
    ...self,
    clusterId: pick([clusterId, clusterId, 'f'.repeat(32)]),
    bootCounter: pick([1, 1000, Number.MAX_SAFE_INTEGER]),
    boots: [pick(['0'.repeat(16), 'f'.repeat(16)])],
    versions: SPOKEN_VERSIONS,
    link: pick(['control', 'bulk'] as const),
    wanted: pick([wanted, wanted, wanted, victim]),
  };
  return new CallerHandshake(hello, key, method);
}

function forgedProof({ pick, key }: Outsider, handshake: CallerHandshake): proto.Proof | undefined {
  const voucher = {
    actorId: pick([1, 2, 3, 4]),
    instanceId: key.instance,
    index: pick(NUMBERS),
    by: key.publicKey,
    signature: key.sign('x'),
  };
  return pick([
    undefined,
    { signature: new Uint8Array(0), vouchers: [] },
    { signature: new Uint8Array(64), vouchers: [voucher] },
    { signature: handshake.isProved ? handshake.signature() : new Uint8Array(64), vouchers: [voucher, voucher] },
  ]);
}

/** One call of one method; resolves when the node has ended it. */
async function attack(outsider: Outsider, peer: Peer, wanted: Member): Promise<void> {
  const { pick, key, clusterId } = outsider;
  const method = pick(['Deliver', 'Deliver', 'Deliver', 'Forward', 'FetchRecords', 'Join', 'Introduce'] as const);
  if (method === 'Introduce') {
    const self = pick([
      undefined,
      { actorId: pick([1, 2, 3, 0, 70_000]), instanceId: key.instance, address: pick(['127.0.0.1:9', 'x']) },
    ]);
    await peer.unary('introduce', { self, clusterId: pick(['', clusterId]) }, { timeoutMs: CALL_MS });
    return;
  }
  const handshake = forgedHandshake(outsider, wanted, method);
  const options = { metadata: handshake.metadata, timeoutMs: CALL_MS };
  if (method === 'Deliver') {
    const call = peer.duplex('deliver', options);
    call.onHeaders((header) => {
      prove(handshake, header);
      const value = forgedProof(outsider, handshake);
      if (value !== undefined) void call.send({ group: 0, message: { $case: 'proof', value }, more: [] });
      const message = (): proto.DeliverRequest => ({ group: pick([0, 1, 2]), message: anyMessage(pick), more: [] });
      void call.send({ ...message(), more: [message(), message()] });
      call.end();
    });
    await call.receive(() => undefined);
  } else if (method === 'Forward') {
    const call = peer.duplex('forward', options);
    call.onHeaders((header) => {
      prove(handshake, header);
      const proof = forgedProof(outsider, handshake);
      const packed = { body: Buffer.alloc(pick([0, 100])), count: pick(NUMBERS.slice(0, 9)), checksum: 0 };
      void call.send({
        requestId: pick(NUMBERS),
        group: 1,
        packed: pick([undefined, packed]),
        producer: undefined,
        proof,
      });
      call.end();
    });
    await call.receive(() => undefined);
  } else if (method === 'FetchRecords') {
    const call = peer.duplex('fetchRecords', options);
    call.onHeaders((header) => {
      prove(handshake, header);
      void call.send({
        group: 1,
        fromIndex: pick(NUMBERS),
        toIndex: pick(NUMBERS),
        proof: forgedProof(outsider, handshake),
      });
      call.end();
    });
    await call.receive(({ records }) => assert.deepEqual(records, [], 'records are for members'));
  } else {
    const call = peer.duplex('join', options);
    call.onHeaders((header) => {
      prove(handshake, header);
      const proof = forgedProof(outsider, handshake);
      const predecessorInstance = pick(['', ...outsider.members.map(({ instance }) => instance)]);
      void call.send({
        proof,
        predecessorInstance,
        predecessorKey: key.publicKey,
        predecessorSignature: key.sign('x'),
      });
      call.end();
    });
    await call.receive(() => assert.fail('nobody is taken in'));
  }
}

/** Where another node answers than was looked for, the outsider goes on all the same. */
function prove(handshake: CallerHandshake, header: (key: string) => string | undefined): void {
  try {
    handshake.takeHeaders(header);
  } catch (error) {
    assert.ok(error instanceof FlotillaError);
  }
}

test(
  `whatever an outsider says to the nodes, ${ROUNDS} times, nothing changes and the cluster goes on`,
  withReadyCluster({}, async (cluster, context) => {
    const client = cluster.client();
    const producers = new RecordedProducers((event) => client.produce(event), { workers: 4 });
    await producers.progress(50);
    const before = await Promise.all(cluster.nodes.map((node) => node.clusterStatus()));
    const peers: readonly Peer[] = cluster.nodes.map(
      ({ address }) => new RpcClient(proto.PeerServiceDefinition, address),
    );
    context.after(() => {
      for (const peer of peers) peer.close();
    });
    const random = seededRandom(7);
    const pick: Pick = (choices) => choices[Math.floor(random() * choices.length)] as (typeof choices)[number];
    const own = { self: { actorId: 9, instanceId: '0'.repeat(32), address: '127.0.0.1:9' }, clusterId: '' };
    const introductions = await Promise.all(peers.map((peer) => peer.unary('introduce', own)));
    const members = introductions.map(({ self }) => {
      assert.ok(self !== undefined);
      return { actor: actorId(self.actorId), instance: self.instanceId, address: self.address };
    });
    const outsider: Outsider = { pick, clusterId: introductions[0]?.clusterId ?? '', members, key: NodeKey.generate() };

    const refusals = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      const target = round % peers.length;
      const [peer, wanted] = [peers[target], members[target]];
      assert.ok(peer !== undefined && wanted !== undefined);
      try {
        await attack(outsider, peer, wanted);
      } catch (error) {
        if (!(error instanceof FlotillaError)) throw error;
        refusals.set(error.code, (refusals.get(error.code) ?? 0) + 1);
      }
    }
    context.diagnostic(`refusals: ${JSON.stringify(Object.fromEntries(refusals))}`);
    await producers.progress(50);
    await producers.stop();

    assert.equal(cluster.running.length, 3, 'no node has ended');
    const after = await Promise.all(cluster.nodes.map((node) => node.clusterStatus()));
    const terms = (statuses: readonly proto.GetStatusResponse[]): number =>
      Math.max(...statuses.flatMap(({ nodes }) => nodes.map(({ term }) => term)));
    assert.ok(terms(after) <= terms(before) + 5, `term ${terms(before)} has become ${terms(after)}`);
    assert.deepEqual(
      after.map(({ nodes }) => nodes.map(({ actorId: actor }) => actor).sort()),
      before.map(({ nodes }) => nodes.map(({ actorId: actor }) => actor).sort()),
    );
    assert.ok(!cluster.logs().includes('asks the others to be taken in anew'), 'nobody set data aside');
    producers.verify(await cluster.equalDumps());
  }),
);
