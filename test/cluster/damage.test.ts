import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { FlotillaClient } from '../../src/client/index.js';
import { proto } from '../../src/wire/index.js';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import type { ClusterNode, DumpedEvent } from '../support/cluster-node.js';
import { until } from '../support/until.js';

const ARGS = [
  '--election-timeout',
  '400ms',
  '--heartbeat-interval',
  '40ms',
  '--segment-bytes',
  '1MiB',
  '--max-cache-memory',
  '1MiB',
];

const folderOf = (cluster: Cluster, node: ClusterNode): string => join(cluster.dataDir, `node-${node.actor}`);

function databaseOf(cluster: Cluster, node: ClusterNode, which: 'sealed' | 'open'): string {
  const segments = join(folderOf(cluster, node), 'groups', '1', 'segments');
  const begun = readdirSync(segments).filter((name) => readdirSync(join(segments, name)).includes('header'));
  const name = begun.sort().at(which === 'open' ? -1 : 0);
  assert.ok(name !== undefined && begun.length > 1, `segments: ${begun}`);
  return join(segments, name, 'db');
}

function recordsFile(database: string): string {
  const name = readdirSync(database).find((file) => /\.(log|ldb)$/.test(file));
  assert.ok(name !== undefined, database);
  return join(database, name);
}

async function produce(client: FlotillaClient, count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, () => client.produce({ namespace: '/damage', data: 'x'.repeat(8 * 1024) })),
  );
}

/** Every node votes and has all events; this one can lead, and gives out the same. */
async function whole(
  cluster: Cluster,
  client: FlotillaClient,
  node: ClusterNode,
  count: number,
): Promise<DumpedEvent[]> {
  await cluster.ready();
  const events = await cluster.equalDumps();
  assert.equal(events.length, count);
  await until(`node ${node.actor} leads`, async () => {
    if ((await node.status())?.role === proto.NodeRole.LEADER) return true;
    await client.transferLeadership(node.actor).catch(() => undefined);
    return false;
  });
  assert.deepEqual(await node.dump(proto.Consistency.CONFIRMED), events);
  return events;
}

test(
  'damage in one node of three, and a disk that was rolled back: no event is wrong or missing, and the node is ' +
    'whole again by itself',
  withReadyCluster({ args: ARGS }, async (cluster) => {
    const [one, two] = [cluster.node(1), cluster.node(2)];
    const client = cluster.client();
    // A third each, on all disks before the next: one write never spans segments, and each node is to have two.
    for (let third = 0; third < 3; third++) {
      await produce(client, 100);
      await cluster.equalDumps();
    }
    const wrote = (node: ClusterNode, words: string): boolean => readFileSync(node.logPath, 'utf8').includes(words);

    // The open segment, which LevelDB would now take for a new database: the node must not vote on it.
    await one.kill('SIGKILL');
    rmSync(join(databaseOf(cluster, one, 'open'), 'CURRENT'));
    one.start();
    await whole(cluster, client, one, 300);
    assert.ok(wrote(one, 'asks the others to be taken in anew'));
    assert.deepEqual(
      readdirSync(folderOf(cluster, one)).filter((name) => name.startsWith('damaged-')),
      ['damaged-1'],
    );

    // A sealed one: the node goes on, and has what is damaged from the others.
    await two.kill('SIGTERM');
    const yesterday = join(cluster.dataDir, 'yesterday');
    cpSync(folderOf(cluster, two), yesterday, { recursive: true });
    const sealed = recordsFile(databaseOf(cluster, two, 'sealed'));
    const content = readFileSync(sealed);
    content[content.length >> 1] = (content[content.length >> 1] ?? 0) ^ 1;
    writeFileSync(sealed, content);
    two.start();
    await whole(cluster, client, two, 300);
    await until('the segment was rebuilt', () => wrote(two, 'a damaged segment was rebuilt'));
    assert.ok(!wrote(two, 'asks the others'));

    // The whole folder, as it was before that start, which the others have seen.
    await produce(client, 20);
    await two.kill('SIGKILL');
    rmSync(folderOf(cluster, two), { recursive: true });
    cpSync(yesterday, folderOf(cluster, two), { recursive: true });
    two.start();
    await until('node 2 begins anew', () => wrote(two, 'asks the others'));
    await whole(cluster, client, two, 320);
  }),
);
