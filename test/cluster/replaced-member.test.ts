/** One of five voters is replaced under its actor id while another is away, which then meets it for the first time. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { FlotillaClient } from '../../src/client/index.js';
import { proto } from '../../src/wire/index.js';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import type { ClusterNode } from '../support/cluster-node.js';
import { flotilla } from '../support/command-process.js';
import { until } from '../support/until.js';

/** Removes actor 4, empties its folder, and starts it again: it comes as another node and is a voter in the end. */
async function replaceFour(cluster: Cluster): Promise<void> {
  const four = cluster.node(4);
  await four.kill('SIGKILL');
  await until(
    'actor 4 is removed',
    async () => (await flotilla(['cluster', 'remove', '4', '-p', String(cluster.node(1).port)])).code === 0,
  );
  rmSync(join(cluster.dataDir, 'node-4'), { recursive: true });
  four.start();
  await cluster.ready([four]);
  await until('actor 4 votes again', async () =>
    (await cluster.node(1).clusterStatus()).nodes.some(
      ({ actorId, role }) => actorId === 4 && role !== proto.NodeRole.LEARNER,
    ),
  );
}

async function leads(client: FlotillaClient, node: ClusterNode): Promise<void> {
  await until(`node ${node.actor} leads`, async () => {
    if ((await node.status())?.role === proto.NodeRole.LEADER) return true;
    await client.transferLeadership(node.actor).catch(() => undefined);
    return false;
  });
}

test(
  'a member that was away takes part again, whoever leads, and elects the replaced one where only that has what ' +
    'was committed',
  withReadyCluster({ nodes: 5 }, async (cluster) => {
    const [one, two, three, four, five] = [1, 2, 3, 4, 5].map((actor) => cluster.node(actor));
    assert.ok(
      one !== undefined && two !== undefined && three !== undefined && four !== undefined && five !== undefined,
    );
    const client = cluster.client();
    const produced: string[] = [];
    const produce = async (data: string): Promise<void> => {
      produced.push((await client.produce({ namespace: '/replaced', data })).id);
    };
    await produce('all five');

    await five.kill('SIGKILL');
    await replaceFour(cluster);
    await leads(client, four);
    await produce('led by the one that five has never met');
    five.start();
    await cluster.ready([five]);
    await until('node 5 has caught up', async () => (await five.dump()).length === produced.length);

    await five.kill('SIGKILL');
    await replaceFour(cluster);
    await three.kill('SIGKILL');
    await produce('on one, two and four alone');
    await Promise.all([one, two].map((node) => node.kill('SIGKILL')));
    three.start();
    five.start();
    await cluster.ready([three, four, five]);
    assert.equal((await cluster.leader()).actor, 4, 'only it has everything');
    await produce('by a majority of three and five, which were away, and four');
    await Promise.all([one, two].map((node) => node.start()));
    await cluster.ready();
    assert.deepEqual(
      (await cluster.equalDumps()).map(({ id }) => id),
      produced,
    );
  }),
);
