import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proto } from '../../src/wire/index.js';
import { withReadyCluster } from '../support/cluster.js';
import type { DumpedEvent } from '../support/cluster-node.js';
import { RecordedProducers } from '../support/recorded-producers.js';

const ROUNDS = 20;
const WORKERS = 16;

test(
  `all three are killed at once during writes, ${ROUNDS} times: everything acknowledged is there, in order, the ` +
    'same on all',
  // A shorter time-out only makes the rounds shorter: what must hold does not depend on it.
  withReadyCluster({ args: ['--election-timeout', '400ms'] }, async (cluster, context) => {
    const client = cluster.client({ timeoutMs: 60_000 });
    const producers = new RecordedProducers((event) => client.produce(event), { workers: WORKERS });
    let before: DumpedEvent[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      // From round to round another moment within the writes.
      await producers.progress(20 + 7 * round);
      const acknowledged = [...producers.acknowledged];
      await Promise.all(cluster.nodes.map((node) => node.kill('SIGKILL')));
      await cluster.start();
      const dump = await cluster.node((round % 3) + 1).dump(proto.Consistency.CONFIRMED);
      assert.deepEqual(
        dump.slice(0, before.length),
        before,
        `round ${round + 1}: what was there before is there as it was`,
      );
      for (const [data, { id, counter }] of acknowledged) {
        assert.deepEqual([dump[counter - 1]?.id, dump[counter - 1]?.data], [id, data], `round ${round + 1}`);
      }
      before = dump;
    }
    await producers.progress(WORKERS);
    await producers.stop();
    const dump = await cluster.equalDumps();
    producers.verify(dump);
    assert.equal(producers.refused.size + producers.unknown.size, 0, 'the client goes on by itself');
    context.diagnostic(`${dump.length} events, ${dump.length - producers.acknowledged.size} of them there twice`);
  }),
);
