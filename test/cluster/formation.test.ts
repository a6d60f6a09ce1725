import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { proto } from '../../src/wire/index.js';
import { type Cluster, withCluster, withReadyCluster } from '../support/cluster.js';
import { append, type ClusterNode, newEvent, readThrough } from '../support/cluster-node.js';
import { until } from '../support/until.js';

describe('forming a cluster', { concurrency: 2 }, () => {
  test(
    'whoever names only one member is taken in; the lists need not be alike',
    withCluster({}, async (cluster) => {
      const [first, second, third] = cluster.nodes.map(({ port }) => `localhost:${port}`);
      assert.ok(first !== undefined && second !== undefined && third !== undefined);
      cluster.node(1).peers = [second];
      cluster.node(2).peers = [third];
      cluster.node(3).peers = [first];
      await cluster.start();
      await isOneCluster(cluster, [1, 2, 3]);
    }),
  );

  test(
    'a node that comes much later completes the cluster; until then nothing is taken in',
    withCluster({}, async (cluster) => {
      const [first, second, third] = [cluster.node(1), cluster.node(2), cluster.node(3)];
      third.start();
      second.start();
      for (const node of [second, third]) await waitsFor(node, [first]);
      const client = second.connect();
      const forming = { code: 'NOT_READY', message: new RegExp(`the cluster is forming.*${first.port}`) };
      await assert.rejects(append(client, [newEvent({ namespace: '/early' })]), forming);
      await assert.rejects(readThrough(client), forming);
      client.close();
      await cluster.start();
      await isOneCluster(cluster, [1, 2, 3]);
    }),
  );

  test(
    'founders that are killed while the cluster forms find into the same one',
    withCluster({}, async (cluster) => {
      // Round by round another founder dies, at another moment: as soon as it listens, as soon as it has promised, as
      // soon as it is in.
      const moments: ((node: ClusterNode) => boolean)[] = [
        (node) => log(node).includes('"msg":"listening"'),
        (node) => identity(cluster, node).includes('"promised"'),
        (node) => identity(cluster, node).includes('"clusterId"'),
      ];
      for (const node of cluster.nodes) node.start();
      for (const [position, moment] of moments.entries()) {
        const victim = cluster.node(position + 1);
        await until(`node ${victim.actor} is at its moment`, () => moment(victim));
        await victim.kill('SIGKILL');
        victim.start();
      }
      await cluster.ready();
      await isOneCluster(cluster, [1, 2, 3]);
    }),
  );

  test(
    'a founder that died after its promise, before the others had heard of it, is waited for and recognised',
    withCluster({ nodes: 2 }, async (cluster) => {
      const [first, second] = [cluster.node(1), cluster.node(2)];
      first.start();
      second.start();
      await until('node 2 has promised', () => identity(cluster, second).includes('"promised"'));
      await second.kill('SIGKILL');
      await first.kill('SIGKILL');
      // Alone, each of them must wait for the other: it can't know what that one has done.
      second.start();
      await until('node 2 is up', async () => (await second.readiness()) !== undefined);
      await cluster.start();
      await isOneCluster(cluster, [1, 2]);
    }),
  );

  test(
    'a restart with the peers spelled differently, or named incompletely, finds the same cluster and its events; ' +
      'a majority is enough',
    withReadyCluster({}, async (cluster) => {
      await isOneCluster(cluster, [1, 2, 3]);
      const before = await cluster.equalDumps();
      await Promise.all(cluster.nodes.map((node) => node.kill('SIGTERM')));
      const [first, second, third] = [cluster.node(1), cluster.node(2), cluster.node(3)];
      first.peers = [`localhost:${second.port}`];
      second.peers = [`localhost:${first.port}`, `localhost:${third.port}`, `127.0.0.1:${third.port}`];
      first.start();
      second.start();
      await cluster.ready();
      assert.deepEqual((await cluster.equalDumps()).slice(0, before.length), before);
      third.peers = [`localhost:${third.port}`, first.address];
      await cluster.start();
      await isOneCluster(cluster, [1, 2, 3]);
    }),
  );
});

// It runs by itself: the end of a test kills the commands of those beside it.
test(
  'a founder that does not come is left out on command, and joins when it comes after all',
  withCluster({}, async (cluster) => {
    const [one, two, three] = [cluster.node(1), cluster.node(2), cluster.node(3)];
    const form = async (asked: ClusterNode, ...addresses: string[]) =>
      await cluster.command(asked, ['cluster', 'form', ...addresses.flatMap((address) => ['--without', address])]);
    one.start();
    await waitsFor(one, [two, three]);
    const alone = await form(one, two.address, three.address);
    assert.equal(alone.code, 1);
    assert.match(
      alone.stderr,
      /^error: the actors 1 are no majority against the 2 [^\n]*Nothing was changed \(QUORUM_AT_RISK\)\n$/,
    );
    two.start();
    await waitsFor(one, [three]);
    await until('the way out is told', async () =>
      (await one.readiness())?.reasons.some((reason) =>
        reason.endsWith(`flotilla cluster form --without ${three.address}`),
      ),
    );
    const other = await form(one, 'elsewhere:1');
    assert.match(
      other.stderr,
      new RegExp(`elsewhere:1 is not waited for; nothing was changed: waited for is ${three.address} \\(INVALID`),
    );
    const formed = await form(one, three.address);
    assert.deepEqual([formed.code, formed.stdout], [0, 'the cluster has formed; voters: 1, 2\n'], formed.stderr);
    await cluster.ready();
    const again = await form(two, three.address);
    assert.match(
      again.stderr,
      /^error: the cluster has formed already; nothing was changed[^\n]*\(INVALID_ARGUMENT\)\n$/,
    );
    three.start();
    await until('node 3 votes', async () =>
      (await one.clusterStatus()).nodes.some(({ actorId, role }) => actorId === 3 && role === proto.NodeRole.FOLLOWER),
    );
    await isOneCluster(cluster, [1, 2, 3]);
  }),
);

async function waitsFor(node: ClusterNode, missing: readonly ClusterNode[]): Promise<void> {
  await until(`node ${node.actor} names whom it waits for`, async () => {
    const health = await node.readiness();
    return (
      health?.status === 503 &&
      missing.every(({ port }) => health.reasons.some((reason) => reason.includes(String(port))))
    );
  });
}

/** All agree on the members and on the leader, and what is appended through one is on all. */
async function isOneCluster(cluster: Cluster, actors: readonly number[]): Promise<void> {
  const leader = await cluster.leader();
  for (const node of cluster.nodes) {
    const client = node.connect();
    await append(client, [newEvent({ namespace: '/formed', data: Buffer.from(`through ${node.actor}`) })]);
    client.close();
    const status = await node.clusterStatus();
    assert.deepEqual(
      status.nodes.map(({ actorId }) => actorId),
      actors,
    );
    assert.ok(status.nodes.every(({ reachable }) => reachable));
    assert.equal(status.nodes.find(({ role }) => role === proto.NodeRole.LEADER)?.actorId, leader.actor);
  }
  assert.equal(
    new Set(await Promise.all(cluster.nodes.map(async (node) => (await node.clusterStatus()).clusterId))).size,
    1,
  );
  const dump = await cluster.equalDumps();
  assert.ok(dump.length >= actors.length);
}

function log(node: ClusterNode): string {
  return readFileSync(node.logPath, 'utf8');
}

function identity(cluster: Cluster, node: ClusterNode): string {
  const path = `${cluster.dataDir}/node-${node.actor}/identity`;
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
