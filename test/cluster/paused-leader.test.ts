import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { proto } from '../../src/wire/index.js';
import { withReadyCluster } from '../support/cluster.js';
import type { ClusterNode } from '../support/cluster-node.js';
import { ConsistentReader, Newest } from '../support/consistent-reader.js';
import { RecordedProducers } from '../support/recorded-producers.js';
import { until } from '../support/until.js';

/**
 * Longer than a follower waits for its leader, so that two leaders have been elected. PAUSE_SECONDS=5 is what has been
 * asked for a release.
 */
const PAUSE_MS = Number(process.env['PAUSE_SECONDS'] ?? 2.5) * 1000;
const WRITE_PERIOD_MS = 10;
const READS_AFTERWARDS = 30;

test(
  'a leader is paused, another one elected, and the first goes on: no consistent read that it answers is stale',
  withReadyCluster({}, async (cluster, context) => {
    const paused = await cluster.leader();
    const others = cluster.nodes.filter((node) => node !== paused);
    const newest = new Newest();
    // Writers at every node: the one whose node is paused waits, the others go on.
    const producers = cluster.nodes.map((node) => {
      const client = cluster.client({ hosts: [node.address], followLeader: false });
      const produce: ConstructorParameters<typeof RecordedProducers>[0] = async (event) => {
        const receipt = await client.produce(event);
        newest.acknowledged(receipt.id);
        await sleep(WRITE_PERIOD_MS);
        return receipt;
      };
      return new RecordedProducers(produce, { workers: 2, name: `by-${node.actor}` });
    });
    await Promise.all(producers.map((writing) => writing.progress(10)));
    const readers = cluster.nodes.map((node) => new ConsistentReader(node, newest));
    await Promise.all(readers.map((reader) => reader.answers(5)));

    paused.pause();
    const pausedMs = performance.now();
    const before = newest.counter;
    const successor = await leaderAmong(others);
    const hammering = readers.find(({ node }) => node === paused);
    assert.ok(hammering !== undefined);
    await until(
      'reads wait at the paused node that must see what its successor acknowledged, and the pause has lasted',
      () => {
        return hammering.waitFor(before + 1) >= READS_AFTERWARDS / 2 && performance.now() - pausedMs >= PAUSE_MS;
      },
    );
    const answeredBefore = hammering.answered;
    paused.resume();
    await hammering.answers(READS_AFTERWARDS);

    for (const reader of readers) {
      const refused = await reader.stop();
      context.diagnostic(
        `node ${reader.node.actor}${reader === hammering ? ', the paused one' : ''}: ${reader.answered} reads ` +
          'answered' +
          `${reader === hammering ? `, ${reader.answered - answeredBefore} of them after the pause` : ''}; ` +
          `${refused} not`,
      );
    }
    context.diagnostic(
      `${before} events acknowledged before the pause, ${newest.counter} at the end; node ${successor.actor} took over`,
    );
    for (const reader of readers) assert.deepEqual(reader.stale, []);
    await Promise.all(producers.map((writing) => writing.stop()));
    const dump = await cluster.equalDumps();
    for (const writing of producers) writing.verify(dump);
  }),
);

async function leaderAmong(nodes: readonly ClusterNode[]): Promise<ClusterNode> {
  return await until('another leader is elected', async () => {
    const rows = await Promise.all(nodes.map(async (node) => ({ node, status: await node.status() })));
    return rows.find(({ status }) => status?.role === proto.NodeRole.LEADER)?.node;
  });
}
