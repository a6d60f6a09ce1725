import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { FlotillaError } from '../../src/base/index.js';
import type { StreamInfo } from '../../src/client/index.js';
import { parseEventId } from '../../src/event/index.js';
import { type Cluster, withCluster } from '../support/cluster.js';
import { type ClusterNode, readThrough } from '../support/cluster-node.js';
import { until } from '../support/until.js';

const KEPT = 300;
const EVENT = { namespace: '/kept', data: Buffer.alloc(2000, 'x') };

test(
  'what a stream keeps is changed while producers write: all nodes begin with the same event and give disk back, ' +
    'and a node that was away gets a snapshot',
  withCluster({ args: ['--segment-bytes', '1MiB', '--max-events', '100000'] }, async (cluster, context) => {
    await cluster.start();
    await until(
      'the first leader has made the settings',
      async () => (await show(cluster, cluster.node(1))).settings.maxEvents === 100_000,
    );
    const client = cluster.client();
    const write = async (batches: number): Promise<void> => {
      for (let batch = 0; batch < batches; batch++) await client.append(Array.from({ length: 100 }, () => EVENT));
    };
    await write(10);
    const [away, other] = await cluster.followers();
    assert.ok(away !== undefined && other !== undefined);
    await away.kill('SIGKILL');
    let writing = true;
    const load = (async () => {
      while (writing) await write(1);
    })();
    await until('several segments are full', async () => (await segmentsOf(cluster, other)) >= 5);
    const set = await cluster.command(other, ['stream', 'set', '--max-events', String(KEPT), '--json']);
    assert.equal(set.code, 0, set.stderr);
    assert.equal(JSON.parse(set.stdout).settings.maxEvents, KEPT);
    for (const node of cluster.running)
      await until(
        'old segments are gone',
        async () => (await show(cluster, node)).beginIndex > 0 && (await segmentsOf(cluster, node)) <= 3,
      );
    writing = false;
    await load;

    away.start();
    await cluster.ready();
    const settled = async (): Promise<StreamInfo> =>
      await until('all nodes begin with the same event', async () => {
        const infos = await Promise.all(cluster.nodes.map((node) => show(cluster, node)));
        const [first] = infos;
        return infos.every(({ firstId, events }) => events === KEPT && firstId === first?.firstId) ? first : undefined;
      });
    const { firstId } = await settled();
    assert.ok(firstId !== null);
    const received = /^flotilla_peer_messages_received_total\{type="snapshot"\} ([1-9]\d*)/m.exec(
      (await away.http('/metrics'))?.text ?? '',
    );
    assert.ok(received !== null, 'the node that was away has not been sent a snapshot');
    context.diagnostic(`pieces of a snapshot that came to the node that was away: ${received[1]}`);
    assert.ok((await segmentsOf(cluster, away)) <= 3);
    const events = await cluster.equalDumps();
    assert.equal(events.length, KEPT);
    assert.equal(events[0]?.id, firstId);
    await refusesBelow(cluster, firstId);

    // The options do not bring the first settings back.
    for (const node of cluster.nodes) await node.kill('SIGTERM');
    await cluster.start();
    const again = await settled();
    assert.deepEqual([again.settings.maxEvents, again.firstId], [KEPT, firstId]);
    assert.match(cluster.logs(), /have no effect now: flotilla stream set changes what is in force/);
  }),
);

/** As this very node knows it. */
async function show(cluster: Cluster, node: ClusterNode): Promise<StreamInfo> {
  const client = cluster.client({ hosts: node.address });
  return await client.stream();
}

async function segmentsOf(cluster: Cluster, node: ClusterNode): Promise<number> {
  return (await readdir(join(cluster.dataDir, `node-${node.actor}`, 'groups', '1', 'segments'))).length;
}

async function refusesBelow(cluster: Cluster, firstId: string): Promise<void> {
  const { actor } = parseEventId(firstId, 'first');
  for (const node of cluster.nodes) {
    const client = node.connect();
    await assert.rejects(readThrough(client, { startAfter: `5.${actor}` }), (error: unknown) => {
      assert.ok(error instanceof FlotillaError);
      assert.equal(error.code, 'POSITION_REMOVED');
      assert.ok(error.message.includes(`its first event is ${firstId}`), error.message);
      return true;
    });
    client.close();
  }
}
