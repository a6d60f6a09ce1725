import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cluster, withCluster, withReadyCluster } from '../support/cluster.js';
import type { ClusterNode } from '../support/cluster-node.js';
import { flotilla, startFlotilla } from '../support/command-process.js';
import { freePorts } from '../support/free-ports.js';
import { RecordedProducers } from '../support/recorded-producers.js';
import { until } from '../support/until.js';

test(
  'grown from one to five, shrunk to three, and every node replaced, while producers write: nothing acknowledged ' +
    'is lost',
  withCluster({ nodes: 8 }, async (cluster, context) => {
    const [first, ...others] = cluster.nodes;
    assert.ok(first !== undefined);
    first.peers = [];
    // The address of one member is enough.
    for (const node of others) node.peers = [first.address];
    first.start();
    await cluster.ready([first]);
    const client = cluster.client({ hosts: [first.address] });
    let lastMs = performance.now();
    let longestMs = 0;
    const producers = new RecordedProducers(
      async (event) => {
        const receipt = await client.produce(event);
        longestMs = Math.max(longestMs, performance.now() - lastMs);
        lastMs = performance.now();
        return receipt;
      },
      { workers: 8 },
    );
    await producers.progress(50);
    for (const node of others.slice(0, 4)) await joins(cluster, node);
    await producers.progress(50);
    for (const actor of [2, 3]) await leaves(cluster, actor);
    await producers.progress(50);
    // One, four and five make place for six, seven and eight; each of those first asks one that is still there.
    for (const [leaving, joining] of [
      [1, 6],
      [4, 7],
      [5, 8],
    ] as const) {
      cluster.node(joining).peers = [cluster.node(5).running ? cluster.node(5).address : cluster.node(6).address];
      await joins(cluster, cluster.node(joining));
      await leaves(cluster, leaving);
      await producers.progress(50);
    }
    await producers.stop();
    context.diagnostic(`longest time between two acknowledgements ${Math.round(longestMs)} ms`);
    assert.deepEqual(
      cluster.running.map(({ actor }) => actor),
      [6, 7, 8],
    );
    producers.verify(await cluster.equalDumps());
    assert.equal(producers.refused.size, 0, 'a change of the members refuses nothing');
    // What a restart finds is the same cluster.
    await Promise.all(cluster.running.map((node) => node.kill('SIGKILL')));
    for (const actor of [6, 7, 8]) cluster.node(actor).start();
    await cluster.ready();
    producers.verify(await cluster.equalDumps());
  }),
);

test(
  'a member is not removed where the others could not go on, and once it is, it can not come back with its data',
  withReadyCluster({}, async (cluster) => {
    const [one, two, three] = [cluster.node(1), cluster.node(2), cluster.node(3)];
    await three.kill('SIGKILL');
    await cluster.leader();
    const refused = await remove(cluster, one, 2);
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(
      refused.stderr,
      /^error: [^\n]*without actor 2 the cluster could not go on[^\n]*3 can't be reached[^\n]*\(QUORUM_AT_RISK\)\n$/,
    );
    assert.match((await remove(cluster, one, 9)).stderr, /^error: actor 9 is no member \(INVALID_ARGUMENT\)\n$/);

    const removed = await remove(cluster, two, 3);
    assert.deepEqual([removed.code, removed.stdout], [0, 'actor 3 is removed; voters: 1, 2\n'], removed.stderr);
    three.start();
    await until('node 3 says that it does not belong there any more', async () =>
      (await three.readiness())?.reasons.some((reason) => reason.includes('no leader is known')),
    );
    await until('the others refuse it', () => three.lastLogLines().includes('actor 3 is no member of cluster'));
    await three.kill();

    const produced = await cluster.command(one, ['produce', '-n', '/after', '-d', 'x']);
    assert.equal(produced.code, 0, produced.stderr);
    // Its actor id is free for an empty directory.
    const [port = 0] = await freePorts(1);
    const dataDir = `${cluster.dataDir}-new`;
    const replacement = startFlotilla([
      '-d',
      dataDir,
      '-p',
      String(port),
      '--actor-id',
      '3',
      '--peer-addr',
      two.address,
    ]);
    await until('actor 3 votes again', async () => (await rowOf(cluster, one, 3))?.role === 'follower');
    replacement.kill('SIGTERM');
    assert.deepEqual(await replacement.ended, { code: 0, signal: null }, replacement.stderr);
  }),
);

test(
  'a member that was away while all others were replaced finds the cluster again',
  withCluster({ nodes: 5 }, async (cluster) => {
    const [one, two, three, four, five] = cluster.nodes;
    assert.ok(
      one !== undefined && two !== undefined && three !== undefined && four !== undefined && five !== undefined,
    );
    const founders = [one, two, three];
    for (const node of founders) node.peers = founders.filter((peer) => peer !== node).map(({ address }) => address);
    for (const node of founders) node.start();
    await cluster.ready();
    await three.kill('SIGKILL');
    for (const [joining, leaving, asked] of [
      [four, one, two],
      [five, two, four],
    ] as const) {
      joining.peers = [asked.address];
      await joins(cluster, joining);
      await leaves(cluster, leaving.actor);
    }
    three.start();
    await cluster.ready();
    assert.equal((await cluster.command(three, ['produce', '-n', '/again', '-d', 'here'])).code, 0);
    assert.deepEqual(
      (await cluster.equalDumps()).map(({ data }) => data),
      ['here'],
    );
  }),
);

test(
  'an actor id that is taken by another data directory is refused, and the cluster goes on',
  withReadyCluster({}, async (cluster) => {
    await cluster.node(2).kill('SIGTERM');
    const [port = 0] = await freePorts(1);
    const peers = cluster.nodes.flatMap(({ address }) => ['--peer-addr', address]);
    const { code, stderr } = await flotilla([
      '-d',
      `${cluster.dataDir}-2`,
      '-p',
      String(port),
      '--actor-id',
      '2',
      ...peers,
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /^error: [^\n]*actor id 2 is taken[^\n]*flotilla cluster remove 2[^\n]*\n$/);
    const produced = await cluster.command(cluster.node(1), ['produce', '-n', '/after', '-d', 'x']);
    assert.equal(produced.code, 0, produced.stderr);
  }),
);

test(
  'leadership is handed to the member that is named',
  withReadyCluster({}, async (cluster) => {
    const [target] = await cluster.followers();
    assert.ok(target !== undefined);
    const { code, stdout, stderr } = await cluster.command(target, ['cluster', 'transfer', String(target.actor)]);
    assert.deepEqual([code, stdout], [0, `actor ${target.actor} leads\n`], stderr);
    assert.equal(await cluster.leader(), target);
    const refused = await cluster.command(target, ['cluster', 'transfer', '9']);
    assert.match(refused.stderr, /^error: actor_id: actor 9 is no voter of this cluster \(INVALID_ARGUMENT\)\n$/);
  }),
);

async function joins(cluster: Cluster, node: ClusterNode): Promise<void> {
  node.start();
  await cluster.ready([node]);
  await until(`node ${node.actor} votes`, async () => (await rowOf(cluster, node, node.actor))?.role === 'follower');
}

async function leaves(cluster: Cluster, actor: number): Promise<void> {
  const asked = cluster.running.find((node) => node.actor !== actor);
  assert.ok(asked !== undefined);
  const { code, stderr } = await remove(cluster, asked, actor);
  assert.equal(code, 0, stderr);
  await until(`node ${actor} says that it was removed`, async () =>
    (await cluster.node(actor).readiness())?.reasons.some((reason) => reason.startsWith('this node was removed')),
  );
  assert.deepEqual(await cluster.node(actor).kill('SIGTERM'), { code: 0, signal: null });
}

async function remove(cluster: Cluster, asked: ClusterNode, actor: number) {
  return await cluster.command(asked, ['cluster', 'remove', String(actor)]);
}

async function rowOf(
  cluster: Cluster,
  asked: ClusterNode,
  actor: number,
): Promise<{ actorId: number; role: string } | undefined> {
  const { stdout, stderr } = await cluster.command(asked, ['cluster', 'status', '--json']);
  assert.notEqual(stdout, '', stderr);
  const rows: { actorId: number; role: string }[] = JSON.parse(stdout);
  return rows.find(({ actorId }) => actorId === actor);
}
