import assert from 'node:assert/strict';
import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FlotillaClient } from '../../src/client/index.js';
import { proto } from '../../src/wire/index.js';
import { type Cluster, withCluster } from '../support/cluster.js';
import { type ClusterNode, readThrough } from '../support/cluster-node.js';
import { flotilla } from '../support/command-process.js';
import { readRequest } from '../support/read-request.js';
import { RecordedProducers } from '../support/recorded-producers.js';
import { until } from '../support/until.js';

const folderOf = (cluster: Cluster, actor: number): string => join(cluster.dataDir, `node-${actor}`);

test(
  'two of three are lost for good: the third goes on with all that it holds, as another cluster, and grows again',
  withCluster({ nodes: 5 }, async (cluster) => {
    const [one, two, three, four, five] = cluster.nodes;
    assert.ok(
      one !== undefined && two !== undefined && three !== undefined && four !== undefined && five !== undefined,
    );
    const founders = [one, two, three];
    for (const node of founders) node.peers = founders.filter((peer) => peer !== node).map(({ address }) => address);
    for (const node of founders) node.start();
    await cluster.ready();
    const client = cluster.client({ hosts: founders.map(({ address }) => address) });
    const producers = new RecordedProducers((event) => client.produce(event), { workers: 4 });
    await producers.progress(60);
    await producers.stop();
    const before = await cluster.equalDumps();
    const oldClusterId = (await three.clusterStatus()).clusterId;
    const oldIncarnation = await incarnationOf(three);
    const recover = async (...args: string[]) =>
      await flotilla(['cluster', 'recover', '-d', cluster.dataDir, '-A', '3', ...args]);

    const running = await recover('--yes-lose-events');
    assert.equal(running.code, 1);
    assert.match(
      running.stderr,
      /^error: actor 3 is running on [^\n]*a recovery needs it stopped. Nothing was changed \(INVALID_ARGUMENT\)\n$/,
    );

    await Promise.all(founders.map((node) => node.kill('SIGKILL')));
    // What is left of the first is kept elsewhere, against all advice.
    const kept = `${cluster.dataDir}-kept`;
    cpSync(folderOf(cluster, 1), join(kept, 'node-1'), { recursive: true });
    for (const actor of [1, 2]) rmSync(folderOf(cluster, actor), { recursive: true });

    // Alone it waits, for it can't know what the others have done.
    three.start();
    await until('node 3 misses the others', async () =>
      (await three.readiness())?.reasons.some((reason) => reason.includes('no leader is known')),
    );
    await three.kill('SIGTERM');

    const warned = await recover();
    assert.deepEqual([warned.code, warned.stderr], [0, '']);
    for (const words of [
      oldClusterId,
      one.address,
      two.address,
      'LOST',
      'NEVER',
      'Nothing was changed',
      '--yes-lose-events',
    ])
      assert.ok(warned.stdout.includes(words), `${words} in\n${warned.stdout}`);
    assert.match(
      warned.stdout,
      new RegExp(`events up to counter ${before.length}; last term \\d+, last index \\d+, known to be committed`),
    );
    const asJson: { recovered: boolean; clusterId: string; streams: { lastCounter: number }[] } = JSON.parse(
      (await recover('--json')).stdout,
    );
    assert.deepEqual(
      [asJson.recovered, asJson.clusterId, asJson.streams[0]?.lastCounter],
      [false, oldClusterId, before.length],
    );

    const recovered = await recover('--yes-lose-events');
    assert.equal(recovered.code, 0, recovered.stderr);
    assert.match(recovered.stdout, /^Actor 3 in [^\n]* is the only member of the new cluster [0-9a-f]{32}\./);
    assert.match(
      (await recover('--yes-lose-events')).stderr,
      /nothing to recover from. Nothing was changed \(INVALID_ARGUMENT\)\n$/,
    );

    three.start();
    await cluster.ready();
    producers.verify(await three.dump(proto.Consistency.CONFIRMED));
    assert.deepEqual(await three.dump(), before);
    const { clusterId, nodes } = await three.clusterStatus();
    assert.notEqual(clusterId, oldClusterId);
    assert.equal(nodes.length, 1);

    // A consumer of before is not let go on as if nothing had happened.
    assert.notEqual(await incarnationOf(three), oldIncarnation);
    const consumer = three.connect();
    await assert.rejects(readThrough(consumer, { startAfter: before[3]?.id ?? '', incarnation: oldIncarnation }), {
      code: 'POSITION_MISMATCH',
    });
    consumer.close();

    // An actor id of before may be used again, by an empty directory.
    one.peers = [three.address];
    four.peers = [three.address];
    one.start();
    four.start();
    await cluster.ready();
    for (const node of [one, four]) await votes(three, node.actor);
    const again = new FlotillaClient({ hosts: [one.address] });
    const receipt = await again.produce({ namespace: '/after', data: 'x' });
    assert.equal(Number(receipt.id.slice(0, 20)), before.length + 1, 'counters go on');
    await again.close();
    assert.deepEqual((await cluster.equalDumps()).slice(0, before.length), before);

    // What is left of a former member does not get in.
    await one.kill('SIGKILL');
    renameSync(folderOf(cluster, 1), `${cluster.dataDir}-new-1`);
    cpSync(join(kept, 'node-1'), folderOf(cluster, 1), { recursive: true });
    one.start();
    await until(
      'the former member is refused',
      () => /belongs to cluster [0-9a-f]{32}, this node to/.test(one.lastLogLines()),
      {
        state: () => cluster.logs(),
      },
    );
    assert.equal((await one.readiness())?.status, 503);
    assert.equal((await cluster.command(four, ['produce', '-n', '/after', '-d', 'y'])).code, 0);
    await one.kill('SIGKILL');
    rmSync(kept, { recursive: true });
    rmSync(`${cluster.dataDir}-new-1`, { recursive: true });
  }),
);

test('recover needs to be told which node is meant, and finds only what is there', async () => {
  const missing = await flotilla(['cluster', 'recover', '-d', '/nowhere']);
  assert.deepEqual([missing.code, missing.stdout], [2, '']);
  assert.match(missing.stderr, /^error: option '-A, --actor-id <id>' is missing[^\n]*\n$/);
  const nobody = await flotilla(['cluster', 'recover', '-d', '/nowhere', '-A', '3']);
  assert.equal(nobody.code, 1);
  assert.match(
    nobody.stderr,
    /^error: \/nowhere\/node-3 is no node that was part of a cluster[^\n]*\(INVALID_ARGUMENT\)\n$/,
  );
});

async function incarnationOf(node: ClusterNode): Promise<string> {
  const client = node.connect();
  try {
    for await (const { content } of client.serverStream('read', READ_NOTHING, { timeoutMs: 10_000 })) {
      if (content?.$case === 'started') return content.value.incarnation;
    }
  } finally {
    client.close();
  }
  return assert.fail('a read begins with what it stands on');
}

const READ_NOTHING = readRequest({ limit: 1, consistency: proto.Consistency.LOCAL });

async function votes(asked: ClusterNode, actor: number): Promise<void> {
  await until(`node ${actor} votes`, async () =>
    (await asked.clusterStatus()).nodes.some(
      ({ actorId, role }) => actorId === actor && role === proto.NodeRole.FOLLOWER,
    ),
  );
}
