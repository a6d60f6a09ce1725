import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import type { ClusterNode } from '../support/cluster-node.js';
import { freePorts } from '../support/free-ports.js';
import { RecordedProducers } from '../support/recorded-producers.js';
import { until } from '../support/until.js';

test(
  'each member is started at another port, one after the other, while producers write: nothing acknowledged is ' +
    'lost, and clients find the new ones',
  withReadyCluster({}, async (cluster) => {
    // It is told of the first addresses only, none of which is left in the end.
    const client = cluster.client();
    const producers = new RecordedProducers((event) => client.produce(event), { workers: 4 });
    await producers.progress(20);
    for (const node of cluster.nodes) {
      await moves(node);
      await knowsEverybody(cluster);
      await producers.progress(20);
    }
    await producers.stop();
    producers.verify(await cluster.equalDumps());
    // What was written down is enough for a restart that is given no hints.
    await Promise.all(cluster.nodes.map((node) => node.kill('SIGKILL')));
    for (const node of cluster.nodes) node.peers = [];
    await cluster.start();
    producers.verify(await cluster.equalDumps());
  }),
);

test(
  'the leader itself is started at another port, and goes on as a member there',
  withReadyCluster({}, async (cluster) => {
    const leader = await cluster.leader();
    await moves(leader);
    await knowsEverybody(cluster);
    const { code, stderr } = await cluster.command(leader, ['cluster', 'transfer', String(leader.actor)]);
    assert.equal(code, 0, stderr);
    assert.equal(await cluster.leader(), leader);
  }),
);

test(
  'all members are started at other ports at once, each with the new address of one other: they find each other',
  withReadyCluster({}, async (cluster) => {
    const [one, two, three] = [cluster.node(1), cluster.node(2), cluster.node(3)];
    assert.equal((await cluster.command(one, ['produce', '-n', '/before', '-d', 'x'])).code, 0);
    await Promise.all(cluster.nodes.map((node) => node.kill('SIGTERM')));
    await newPorts(cluster.nodes);
    // Two and three never hear of each other but through one.
    one.peers = [two.address];
    two.peers = [`localhost:${one.port}`];
    three.peers = [one.address];
    await cluster.start();
    await knowsEverybody(cluster);
    assert.equal((await cluster.command(three, ['produce', '-n', '/after', '-d', 'y'])).code, 0);
    assert.deepEqual(
      (await cluster.equalDumps()).map(({ data }) => data),
      ['x', 'y'],
    );
  }),
);

test(
  'two members exchange their ports',
  withReadyCluster({}, async (cluster) => {
    const [, two, three] = [cluster.node(1), cluster.node(2), cluster.node(3)];
    await Promise.all([two.kill('SIGTERM'), three.kill('SIGTERM')]);
    [two.port, three.port] = [three.port, two.port];
    await cluster.start();
    await knowsEverybody(cluster);
    assert.equal((await cluster.command(two, ['produce', '-n', '/after', '-d', 'y'])).code, 0);
    await cluster.equalDumps();
  }),
);

async function newPorts(nodes: readonly ClusterNode[]): Promise<void> {
  const ports = await freePorts(nodes.length);
  for (const [position, node] of nodes.entries()) node.port = ports[position] ?? 0;
}

/**
 * Stops it, and starts it elsewhere with what it was told before: the addresses of the others as they were at first.
 */
async function moves(node: ClusterNode): Promise<void> {
  assert.deepEqual(await node.kill('SIGTERM'), { code: 0, signal: null });
  await newPorts([node]);
  node.start();
}

/** Every node says of every member where it is now, and that it answers there. */
async function knowsEverybody(cluster: Cluster): Promise<void> {
  await cluster.ready();
  for (const node of cluster.nodes) {
    await until(
      `node ${node.actor} knows where all are`,
      async () => {
        const { nodes } = await node.clusterStatus();
        return nodes.every(({ actorId, address, reachable }) => reachable && address === cluster.node(actorId).address);
      },
      { state: () => cluster.logs() },
    );
  }
}
