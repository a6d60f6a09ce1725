/** Programs that come, produce one batch and go: far more of them than a stream remembers. */
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/index.js';
import { FlotillaClient } from '../../src/client/index.js';
import { proto } from '../../src/wire/index.js';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import { type ClusterNode, newEvent } from '../support/cluster-node.js';
import { until } from '../support/until.js';

const ONE_SHOTS = 70_000;
/** So many share a produce stream: each has a stamp of its own, which is all that the stream knows of a program. */
const ONE_SHOTS_PER_CALL = 5000;
/** These are programs in full, each with a client and a connection of its own. */
const CLIENTS = 100;
const STATE_BYTES_MAX = 8 * 1024 * 1024;
/** A full table takes at least so much: a checkpoint of less was written before there were enough. */
const PRODUCER_BYTES_MIN = 20;
/** Of random ids, as clients make them up. */
const FIRST_ID = 2 ** 52;

interface OneShot {
  readonly stamp: proto.ProducerStamp;
  readonly events: proto.NewEvent[];
}

function oneShot(number: number, firstSentMsAgo = 0): OneShot {
  const producerId = FIRST_ID + Math.imul(number, 0x9e3779b1);
  return {
    stamp: { producerId, epoch: 1, sequence: 1, incarnation: '', firstSentMsAgo, bornAfter: 0 },
    events: [newEvent({ namespace: '/once', data: Buffer.from(`one-shot ${number}`) })],
  };
}

/** The id of a one-shot's event; rejects where it is refused. */
async function append(node: ClusterNode, { stamp, events }: OneShot): Promise<string> {
  const client = node.connect();
  try {
    const { receipt } = await client.unary('append', { stream: '', events, packed: undefined, producer: stamp });
    return receipt?.firstId ?? '';
  } finally {
    client.close();
  }
}

/** Appends the one-shots from one number on; all of them are taken. */
async function appendMany(node: ClusterNode, from: number, count: number): Promise<void> {
  const client = node.connect();
  const call = client.duplex('produce');
  let receipts = 0;
  const received = call.receive(({ outcome }) => {
    assert.notEqual(outcome?.$case, 'failure', JSON.stringify(outcome));
    if (outcome?.$case === 'receipt') receipts++;
    return undefined;
  });
  for (let number = from; number < from + count; number++) {
    const { stamp, events } = oneShot(number);
    await call.send({ requestId: String(number + 1), stream: '', events, packed: undefined, producer: stamp });
  }
  call.end();
  await received;
  client.close();
  assert.equal(receipts, count);
}

/** What the encoded state of the stream takes, by the largest checkpoint of each node. */
function stateBytes(cluster: Cluster, node: ClusterNode): number {
  const files = readdirSync(join(cluster.dataDir, `node-${node.actor}`), { recursive: true, encoding: 'utf8' });
  const checkpoints = files.filter((file) => file.endsWith('checkpoint'));
  const bytes = checkpoints.map(
    (file) => statSync(join(cluster.dataDir, `node-${node.actor}`, file), { throwIfNoEntry: false })?.size ?? 0,
  );
  return Math.max(0, ...bytes);
}

async function leads(cluster: Cluster, node: ClusterNode): Promise<void> {
  await until(`node ${node.actor} leads`, async () => {
    if ((await node.status())?.role === proto.NodeRole.LEADER) return true;
    await cluster
      .client()
      .transferLeadership(node.actor)
      .catch(() => undefined);
    return false;
  });
}

test(
  'seventy thousand programs of one batch later the state is small, all nodes have it, and each batch stays there once',
  withReadyCluster({ args: ['--segment-bytes', '1MiB', '--max-events', '1000'] }, async (cluster, context) => {
    const stalls = async (): Promise<string> =>
      (await Promise.all(cluster.running.map((node) => node.longestStallMs()))).map((ms) => `${ms} ms`).join(', ');
    context.diagnostic(`the longest that an event loop stood still: ${await stalls()} for the start`);
    const [away] = await cluster.followers();
    const leader = await cluster.leader();
    assert.ok(away !== undefined);
    const beginMs = performance.now();
    await append(leader, oneShot(0));
    await away.kill('SIGKILL');
    for (let from = 1; from < ONE_SHOTS; from += ONE_SHOTS_PER_CALL)
      await appendMany(leader, from, Math.min(ONE_SHOTS_PER_CALL, ONE_SHOTS - from));
    context.diagnostic(`${ONE_SHOTS} one-shots: ${Math.round(performance.now() - beginMs)} ms`);
    const last = oneShot(ONE_SHOTS);
    const lastId = await append(leader, last);
    let events = ONE_SHOTS + 1;

    /** It counts by the ids, for retention takes events away. */
    const requireEachOnce = async (node: ClusterNode): Promise<void> => {
      assert.equal(await append(node, last), lastId, 'one that is known has its first id');
      const forgotten = oneShot(0, Math.ceil(performance.now() - beginMs));
      await assert.rejects(append(node, forgotten), { code: 'PRODUCER_EXPIRED' });
      const client = new FlotillaClient({ hosts: node.address });
      const { eventId } = await client.produce({ namespace: '/new', data: 'new' });
      await client.close();
      events++;
      assert.equal(eventId.counter, events, 'nothing else was appended');
    };
    await requireEachOnce(leader);

    const fullMs = performance.now();
    for (let number = 0; number < CLIENTS; number++) {
      await using client = new FlotillaClient({ hosts: leader.address });
      const { eventId } = await client.produce({ namespace: '/client', data: 'one-shot' });
      events++;
      assert.equal(eventId.counter, events);
    }
    context.diagnostic(`${CLIENTS} clients with a full table: ${Math.round(performance.now() - fullMs)} ms`);

    const client = cluster.client();
    for (const node of cluster.running)
      await until('a checkpoint holds the full table', async () => {
        if (stateBytes(cluster, node) >= LIMITS.producers * PRODUCER_BYTES_MIN) return true;
        const { count } = await client.append([{ namespace: '/filler', data: Buffer.alloc(512 * 1024) }]);
        events += count;
        return false;
      });
    await cluster.requireMovingLoops();
    context.diagnostic(`… and ${await stalls()} since`);

    await Promise.all(cluster.running.map((node) => node.kill('SIGKILL')));
    const startMs = performance.now();
    await cluster.start();
    context.diagnostic(`all nodes are ready again after ${Math.round(performance.now() - startMs)} ms`);
    await until('the node that was away has got a snapshot', async () =>
      /^flotilla_peer_messages_received_total\{type="snapshot"\} [1-9]/m.test(
        (await away.http('/metrics'))?.text ?? '',
      ),
    );
    for (const node of cluster.nodes) await requireEachOnce(node);
    await leads(cluster, away);
    await requireEachOnce(away);
    const dump = await cluster.equalDumps();
    assert.ok(
      dump.every(({ data }) => data !== 'one-shot 0'),
      'the forgotten one is not there anew',
    );
    const bytes = cluster.nodes.map((node) => stateBytes(cluster, node));
    context.diagnostic(`the state takes ${bytes.join(', ')} bytes`);
    for (const each of bytes) assert.ok(each > 0 && each < STATE_BYTES_MAX, `${each} bytes`);
  }),
);
