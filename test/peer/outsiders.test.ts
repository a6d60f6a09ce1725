/** An outsider that reaches the port knows all ids, which are published, and has no member's key. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { FlotillaError, LIMITS, type Member } from '../../src/base/index.js';
import { CallerHandshake } from '../../src/peer/handshake.js';
import type { Hello } from '../../src/peer/hello.js';
import { RpcClient, RpcServer } from '../../src/rpc/index.js';
import { NodeKey, nodeHeartbeat, peerMessageToProto, proto, SPOKEN_VERSIONS } from '../../src/wire/index.js';
import {
  CLUSTER,
  GROUP,
  heartbeat,
  keyOf,
  linked,
  makeAppend,
  makeMembers,
  newInstance,
  portOf,
  RememberedBoots,
  startNode,
  type TestNode,
  until,
} from './peer-fixture.js';

type Peer = RpcClient<typeof proto.PeerServiceDefinition>;

/** Node 1 of a cluster of two, in which `two` is down, and an outsider that is connected to it. */
async function attacked(context: TestContext, options: Partial<Parameters<typeof startNode>[1]> = {}) {
  const [one, two] = await makeMembers(2);
  assert.ok(one !== undefined && two !== undefined);
  const memory = new RememberedBoots();
  const node = await startNode(context, { members: [one, two], self: one, memory, ...options });
  const outsider: Peer = new RpcClient(proto.PeerServiceDefinition, one.address);
  context.after(() => outsider.close());
  return { node, outsider, one, two, memory };
}

const helloOf = (self: Member, wanted: Member, more: Partial<Hello> = {}): Hello => ({
  ...self,
  clusterId: CLUSTER,
  bootCounter: 1000,
  boots: ['f'.repeat(16)],
  versions: SPOKEN_VERSIONS,
  link: 'control',
  wanted,
  ...more,
});

/** Opens a Deliver stream with this proof and says something at once; resolves with how it ended. */
async function intrude(
  outsider: Peer,
  handshake: CallerHandshake,
  proof: () => proto.Proof | undefined,
): Promise<FlotillaError | undefined> {
  const call = outsider.duplex('deliver', { metadata: handshake.metadata });
  call.onHeaders((header) => {
    handshake.takeHeaders(header);
    const value = proof();
    if (value !== undefined) void call.send({ group: 0, message: { $case: 'proof', value }, more: [] });
    void call.send(peerMessageToProto({ group: GROUP, message: heartbeat(1), records: [] }));
    void call.send(nodeHeartbeat());
  });
  call.receive(() => undefined).catch(() => undefined);
  return await call.ended;
}

const proofBy = (handshake: CallerHandshake, key: NodeKey): (() => proto.Proof) => {
  return () => ({ signature: handshake.signature(key), vouchers: [] });
};

test('the hello of a member without its key changes nothing', async (context) => {
  const { node, outsider, one, two, memory } = await attacked(context);
  const own = NodeKey.generate();
  const claims: readonly [
    what: string,
    self: Member,
    key: NodeKey,
    proof: (handshake: CallerHandshake) => () => proto.Proof | undefined,
  ][] = [
    ["a member's instance and another key", two, own, (handshake) => proofBy(handshake, own)],
    [
      "a member's instance and key, and the signature of another",
      two,
      keyOf(two),
      (handshake) => proofBy(handshake, own),
    ],
    ['no proof', two, keyOf(two), () => () => undefined],
    ['a signature that is none', two, keyOf(two), () => () => ({ signature: new Uint8Array(64), vouchers: [] })],
    ['an empty signature', two, keyOf(two), () => () => ({ signature: new Uint8Array(0), vouchers: [] })],
    [
      "a member's actor id and an instance of its own",
      { ...two, instance: own.instance },
      own,
      (handshake) => proofBy(handshake, own),
    ],
    ["this node's own seat", { ...one, instance: own.instance }, own, (handshake) => proofBy(handshake, own)],
  ];
  for (const [what, self, key, proof] of claims) {
    const handshake = new CallerHandshake(helloOf(self, one), key, 'Deliver');
    const ended = await intrude(outsider, handshake, proof(handshake));
    assert.equal(ended?.code, 'FOREIGN_NODE', `${what}: ${ended?.message ?? 'let in'}`);
  }
  assert.deepEqual(node.received, []);
  assert.equal(memory.lastBoot(two.instance), undefined, 'no start was noted');
  assert.equal(node.links.located(two).address, two.address, 'no address was taken over');
});

test('the proof of one stream holds for no other', async (context) => {
  const { node, outsider, one, two } = await attacked(context);
  const handshake = new CallerHandshake(helloOf(two, one, { bootCounter: 1 }), keyOf(two), 'Deliver');
  let signature = new Uint8Array(0);
  const seen = outsider.duplex('deliver', { metadata: handshake.metadata });
  await new Promise<void>((resolve) =>
    seen.onHeaders((header) => {
      handshake.takeHeaders(header);
      signature = Uint8Array.from(handshake.signature());
      resolve();
    }),
  );
  seen.cancel();
  // The same words again: the other side's nonce is another one by now.
  const again = await intrude(outsider, new ReplayedHandshake(handshake), () => ({ signature, vouchers: [] }));
  assert.equal(again?.code, 'FOREIGN_NODE');
  assert.deepEqual(node.received, []);
});

/** Says what another handshake has said. */
class ReplayedHandshake extends CallerHandshake {
  override readonly metadata: CallerHandshake['metadata'];

  constructor(seen: CallerHandshake) {
    super(
      helloOf(
        { actor: 2, instance: '', address: '' } as unknown as Member,
        { actor: 1, instance: '' } as unknown as Member,
      ),
      NodeKey.generate(),
      'Deliver',
    );
    this.metadata = seen.metadata;
  }

  override takeHeaders(): void {
    // It does not care which node answers.
  }
}

test("a stranger at a member's address is never believed", async (context) => {
  const [one, two] = await makeMembers(2);
  assert.ok(one !== undefined && two !== undefined);
  const own = NodeKey.generate();
  let knocks = 0;
  const stranger = new RpcServer({ onInternalError: (error) => assert.fail(String(error)) });
  const rolledBack = async (): Promise<never> => {
    knocks++;
    throw new FlotillaError('ROLLED_BACK', 'your disk was rolled back');
  };
  stranger.add(proto.PeerServiceDefinition, {
    introduce: rolledBack,
    join: rolledBack,
    deliver: async (_stream, call) => {
      call.setHeader('flotilla-key', Buffer.from(own.publicKey).toString('hex'));
      call.setHeader('flotilla-nonce', '0'.repeat(32));
      call.setHeader('flotilla-proof', Buffer.from(own.sign('anything')).toString('hex'));
      call.sendHeaders();
      await rolledBack();
    },
    forward: rolledBack,
    fetchRecords: rolledBack,
  });
  await stranger.listen('127.0.0.1', portOf(two));
  context.after(() => stranger.close(0));
  const node = await startNode(context, { members: [one, two], self: one });
  await until(() => knocks >= 6, 'the node has dialled the stranger several times');
  assert.deepEqual(node.fatal, [], 'it keeps its data');
  assert.ok(!node.linkStates.some(({ state }) => state === 'open'));
  await assert.rejects(
    node.links.fetch(two.actor, GROUP, range(1, 1)),
    (error: FlotillaError) => error.code !== 'INTERNAL',
  );
});

const range = (from: number, to: number) => ({ from, to }) as Parameters<TestNode['links']['fetch']>[2];

test("joining in the seat of a member needs that member's key", async (context) => {
  const asked: (string | undefined)[] = [];
  const { outsider, one, two } = await attacked(context, {
    takeIn: async (_joiner, predecessor) => {
      asked.push(predecessor);
      return { members: [], vouchers: [] };
    },
  });
  const joiner: Member = { ...two, instance: newInstance() };
  // It can be reached where it says that it is.
  await startNode(context, { members: [one, joiner], self: joiner });
  const join = async (predecessor: { instance: string; key: NodeKey } | undefined): Promise<unknown> => {
    const handshake = new CallerHandshake(helloOf(joiner, one), keyOf(joiner), 'Join');
    const call = outsider.duplex('join', { metadata: handshake.metadata, timeoutMs: 5000 });
    call.onHeaders((header) => {
      handshake.takeHeaders(header);
      void call.send({
        proof: { signature: handshake.signature(), vouchers: [] },
        predecessorInstance: predecessor?.instance ?? '',
        predecessorKey: predecessor?.key.publicKey ?? new Uint8Array(0),
        predecessorSignature: predecessor === undefined ? new Uint8Array(0) : handshake.signature(predecessor.key),
      });
    });
    await call.receive(() => undefined);
    return undefined;
  };
  await assert.rejects(join({ instance: two.instance, key: keyOf(joiner) }), {
    code: 'FOREIGN_NODE',
    message: /does not prove that it is the successor/,
  });
  assert.deepEqual(asked, []);
  await join({ instance: two.instance, key: keyOf(two) });
  await join(undefined);
  assert.deepEqual(asked, [two.instance, undefined]);
});

test("the join of a node that can't be reached where it says that it is is refused", async (context) => {
  const { outsider, one, two } = await attacked(context);
  const joiner: Member = { ...two, instance: newInstance() };
  const handshake = new CallerHandshake(helloOf(joiner, one), keyOf(joiner), 'Join');
  const call = outsider.duplex('join', { metadata: handshake.metadata, timeoutMs: 5000 });
  call.onHeaders((header) => {
    handshake.takeHeaders(header);
    const nothing = new Uint8Array(0);
    const proof = { signature: handshake.signature(), vouchers: [] };
    void call.send({ proof, predecessorInstance: '', predecessorKey: nothing, predecessorSignature: nothing });
  });
  await assert.rejects(
    call.receive(() => undefined),
    { code: 'NOT_READY', message: /can't be reached at .* --advertise/ },
  );
});

test('a caller that proves nothing is sent away in time', async (context) => {
  const { outsider, one, two } = await attacked(context);
  const handshake = new CallerHandshake(helloOf(two, one), keyOf(two), 'Deliver');
  const call = outsider.duplex('deliver', { metadata: handshake.metadata });
  call.receive(() => undefined).catch(() => undefined);
  const begunAtMs = performance.now();
  const ended = await call.ended;
  assert.equal(ended?.code, 'FOREIGN_NODE');
  assert.ok(performance.now() - begunAtMs >= LIMITS.peerDialTimeoutMs / 2, 'it had time to');
});

test('members still talk while an outsider knocks', async (context) => {
  const { node, outsider, one, two } = await attacked(context);
  const other = await startNode(context, { members: [one, two], self: two });
  await linked(other, one);
  const own = NodeKey.generate();
  for (let n = 0; n < 50; n++) {
    const handshake = new CallerHandshake(helloOf(two, one), own, 'Deliver');
    await intrude(outsider, handshake, proofBy(handshake, own));
  }
  node.received.length = 0;
  assert.ok(other.links.send(one.actor, GROUP, makeAppend(3).message, makeAppend(3).records), 'the link stands');
  await until(() => node.received.some(({ records }) => records.length === 3), 'what the member says arrives');
});
