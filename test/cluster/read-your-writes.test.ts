import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proto } from '../../src/wire/index.js';
import { withReadyCluster } from '../support/cluster.js';
import { append, newEvent, readThrough } from '../support/cluster-node.js';
import { RecordedProducers } from '../support/recorded-producers.js';

const ROUNDS = 25;

test(
  'what is produced through any node is read at once at any other, and by itself without asking anybody',
  withReadyCluster({}, async (cluster, context) => {
    const clients = cluster.nodes.map((node) => node.connect());
    // Others write too: a node's commit index then runs behind the leader's in many ways.
    const library = cluster.client();
    const others = new RecordedProducers((event) => library.produce(event), { workers: 4, name: 'others' });
    try {
      let reads = 0;
      let startAfter = '';
      for (let round = 0; round < ROUNDS; round++) {
        for (const [at, producer] of clients.entries()) {
          const { firstId } = await append(producer, [
            newEvent({ namespace: '/mine', data: Buffer.from(`${round} ${at}`) }),
          ]);
          const everywhere = clients.map((reader) => readThrough(reader, { glob: '/mine', startAfter }));
          const here = readThrough(producer, { glob: '/mine', startAfter, consistency: proto.Consistency.LOCAL });
          for (const [node, events] of (await Promise.all([...everywhere, here])).entries()) {
            const where = node === clients.length ? `by node ${at + 1} itself` : `at node ${node + 1}`;
            assert.equal(events.at(-1)?.id, firstId, `produced through node ${at + 1}, read ${where}`);
            reads++;
          }
          startAfter = firstId;
        }
      }
      context.diagnostic(`${reads} reads, beside ${others.acknowledged.size} events of others`);
    } finally {
      await others.stop();
      for (const client of clients) client.close();
    }
    others.verify(await cluster.equalDumps());
  }),
);
