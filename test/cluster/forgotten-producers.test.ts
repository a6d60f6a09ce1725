/** More producers than a stream remembers, at a real node: what it forgot is refused, however late it comes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/index.js';
import { RpcClient } from '../../src/rpc/index.js';
import { type PackedBody, packBody, proto } from '../../src/wire/index.js';
import { withReadyCluster } from '../support/cluster.js';
import { LinkProxy } from '../support/link-proxy.js';

const BODY = packBody([{ namespace: '/one-shot', data: Buffer.alloc(0) }]);
/** How many are under way at once. */
const WINDOW = 500;

const stampOf = (producerId: number): proto.ProducerStamp => {
  return { producerId, epoch: 1, sequence: 1, incarnation: '', firstSentMsAgo: 0, bornAfter: 0 };
};

test(
  'seventy thousand producers of one batch each: a first batch that was on its way all the time is not appended again, and new ones go on',
  withReadyCluster({ nodes: 1 }, async (cluster, context) => {
    const node = cluster.node(1);
    const direct = node.connect();
    const proxy = await LinkProxy.to(node.port);
    const held = new RpcClient(proto.EventServiceDefinition, `127.0.0.1:${proxy.port}`);
    context.after(async () => {
      held.close();
      await proxy.close();
    });
    await held.waitForReady(5000);
    proxy.cut();
    const late = held.unary('append', requestOf(7, BODY));
    late.catch(() => undefined);
    const again = { ...requestOf(7, BODY), producer: { ...stampOf(7), firstSentMsAgo: 1000 } };
    assert.equal((await direct.unary('append', again)).receipt?.count, 1);
    await oneShots(direct, LIMITS.producers + 4464);
    proxy.heal();
    await assert.rejects(late, { code: 'PRODUCER_EXPIRED' });
    await assert.rejects(
      direct.unary('append', { ...again, producer: { ...stampOf(7), firstSentMsAgo: 60_000_000 } }),
      {
        code: 'PRODUCER_EXPIRED',
      },
    );
    direct.close();
    const produced = await cluster.client().produce({ namespace: '/after' });
    assert.equal(produced.eventId.counter, 1 + LIMITS.producers + 4464 + 1, 'nothing is there twice');
    // The state survives a restart, and is read in no time.
    await node.kill('SIGKILL');
    node.start();
    await cluster.ready();
    await cluster.client().produce({ namespace: '/after' });
  }),
);

function requestOf(producerId: number, { body, count, checksum }: PackedBody): proto.AppendRequest {
  return { stream: '', events: [], packed: { body, count, checksum }, producer: stampOf(producerId) };
}

/** All over one connection, as a program does that makes up a producer for each event. */
async function oneShots(client: RpcClient<typeof proto.EventServiceDefinition>, count: number): Promise<void> {
  let next = 1000;
  const work = async (): Promise<void> => {
    while (next < 1000 + count) await client.unary('append', requestOf(next++, BODY));
  };
  await Promise.all(Array.from({ length: WINDOW }, work));
}
