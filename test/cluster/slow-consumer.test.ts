import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import { append, type ClusterNode, type EventClient, newEvent, readRequest, readThrough } from '../support/cluster-node.js';
import { until } from '../support/until.js';

const MiB = 1024 * 1024;
const EVENTS = 40;
const STALLED_READERS = 24;
/** A node that queued what its readers do not take would hold all events for each of them, nearly 1 GiB. */
const GROWTH_MAX = 300 * MiB;

test(
  'consumers that stop reading cost a node little memory, and nobody else any time',
  withReadyCluster({ args: ['--max-cache-memory', '8MiB'] }, async (cluster, context) => {
    const node = cluster.node(2);
    const client = node.connect();
    const stalled: EventClient[] = [];
    try {
      const data = Buffer.alloc(MiB, 'x');
      for (let event = 0; event < EVENTS; event++) await append(client, [newEvent({ namespace: `/large/${event}`, data })]);
      // Whatever a reader costs at all is part of what is compared with.
      assert.equal((await readThrough(client)).length, EVENTS);
      const before = await residentBytes(node);
      for (let reader = 0; reader < STALLED_READERS; reader++) {
        const connection = node.connect();
        stalled.push(connection);
        // Half of them read what there is, half of them tail; none of them takes a single response.
        connection.serverStream('read', readRequest({ tail: reader % 2 === 0, packed: reader % 4 < 2 }));
      }
      await until('the node serves all of them', async () => (await metric(node, 'flotilla_read_streams')) === STALLED_READERS);
      await othersAreServed(cluster, client, data);
      const growth = (await residentBytes(node)) - before;
      context.diagnostic(
        `${Math.round(before / MiB)} MiB before, ${Math.round(growth / MiB)} MiB more with ${STALLED_READERS} stalled readers`,
      );
      assert.ok(growth < GROWTH_MAX, `${Math.round(growth / MiB)} MiB more`);
    } finally {
      for (const connection of stalled) connection.close();
      client.close();
    }
  }),
);

async function othersAreServed(cluster: Cluster, client: EventClient, data: Buffer): Promise<void> {
  for (let round = 1; round <= 8; round++) {
    await append(client, [newEvent({ namespace: '/more', data })]);
    const events = await readThrough(client, { glob: '/more' });
    assert.equal(events.length, round);
  }
  const { code, stdout } = await cluster.command(cluster.node(2), ['consume', '-n', '/large/7']);
  assert.equal(code, 0);
  assert.ok(stdout.length > MiB);
}

async function residentBytes(node: ClusterNode): Promise<number> {
  return await metric(node, 'process_resident_memory_bytes');
}

async function metric(node: ClusterNode, name: string): Promise<number> {
  const answer = await node.http('/metrics');
  const value = new RegExp(`^${name} ([0-9.e+]+)$`, 'm').exec(answer?.text ?? '')?.[1];
  assert.ok(value !== undefined, `${name} is not among the metrics`);
  return Number(value);
}
