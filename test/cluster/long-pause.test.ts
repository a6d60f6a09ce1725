import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withReadyCluster } from '../support/cluster.js';
import { append, newEvent } from '../support/cluster-node.js';
import { RecordedProducers } from '../support/recorded-producers.js';
import { until } from '../support/until.js';

/**
 * Long enough that the others give up every connection of a paused node, those that it dialled as well as their own.
 */
const PAUSE_MS = 15_000;
const WRITE_PERIOD_MS = 10;

test(
  'a leader and a follower that were paused for a long time, as by a suspended machine, serve again, and stop ' +
    'when they are asked to',
  withReadyCluster({ nodes: 5 }, async (cluster) => {
    const leader = await cluster.leader();
    const [follower] = await cluster.followers();
    assert.ok(follower !== undefined);
    const paused = [leader, follower];
    const others = cluster.nodes.filter((node) => !paused.includes(node));
    // Appends are under way to both when they are paused, and to whatever they wake up to.
    const client = cluster.client({ hosts: others.map(({ address }) => address) });
    const producers = new RecordedProducers(
      async (event) => {
        const receipt = await client.produce(event);
        await sleep(WRITE_PERIOD_MS);
        return receipt;
      },
      { workers: 8, name: 'throughout' },
    );
    await producers.progress(50);

    for (const node of paused) node.pause();
    // The pause itself is what is asked about: nothing can be awaited of a process that does not run.
    await sleep(PAUSE_MS);
    for (const node of paused) node.resume();

    await Promise.all(
      paused.map(async (node) => {
        const serves = async (): Promise<boolean> =>
          (await node.readiness())?.status === 200 && (await node.status()) !== undefined;
        await until(`node ${node.actor} serves again`, serves, { state: () => node.lastLogLines() });
      }),
    );
    await producers.progress(50);
    for (const node of paused) {
      const connection = node.connect();
      try {
        assert.ok((await append(connection, [newEvent({ namespace: '/after/the/pause' })])).count === 1);
      } finally {
        connection.close();
      }
    }
    await producers.stop();
    producers.verify(await cluster.equalDumps());
    for (const node of paused) assert.deepEqual(await node.kill('SIGTERM'), { code: 0, signal: null });
  }),
);
