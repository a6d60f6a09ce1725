import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SPOKEN_VERSIONS } from '../../src/wire/index.js';
import { withCluster } from '../support/cluster.js';
import type { ClusterNode } from '../support/cluster-node.js';
import { RecordedProducers } from '../support/recorded-producers.js';
import { until } from '../support/until.js';

const VERSIONED_NODE = fileURLToPath(new URL('../support/versioned-node.mjs', import.meta.url));

const TODAY = SPOKEN_VERSIONS.highest;
/** What a Flotilla of tomorrow may speak. */
const NEWER = TODAY + 1;

/** Runs a node that speaks no version above this one, and all from the first on. */
const speaking = (highest: number): readonly string[] => [VERSIONED_NODE, String(highest)];

test(
  'nodes are upgraded one after the other while producers write: the new version is active with the last, ' +
    'nothing is lost, and there is no way back',
  withCluster({}, async (cluster) => {
    for (const node of cluster.nodes) node.program = speaking(TODAY);
    await cluster.start();
    const client = cluster.client();
    const producers = new RecordedProducers((event) => client.produce(event), { workers: 4 });
    await producers.progress(20);
    for (const node of cluster.nodes) {
      for (const other of cluster.nodes)
        assert.equal(await activeVersion(other), TODAY, `before node ${node.actor} is upgraded`);
      await restartedAs(node, speaking(NEWER));
      await cluster.ready();
      await producers.progress(20);
      // Until the last is upgraded, each of them could be taken back.
      if (node.actor !== 2) continue;
      await restartedAs(node, speaking(TODAY));
      await cluster.ready();
      await producers.progress(20);
      await restartedAs(node, speaking(NEWER));
      await cluster.ready();
    }
    for (const node of cluster.nodes)
      await until(
        `version ${NEWER} is active for node ${node.actor}`,
        async () => (await activeVersion(node)) === NEWER,
      );
    await producers.progress(20);
    await producers.stop();
    producers.verify(await cluster.equalDumps());

    const [one, two] = [cluster.node(1), cluster.node(2)];
    await restartedAs(one, speaking(TODAY));
    assert.equal((await one.end()).code, 1, 'an older program does not go on');
    assert.match(
      one.lastLogLines(),
      new RegExp(
        `version ${NEWER} is active in this cluster, and this program speaks up to ${TODAY}: start this node ` +
          'with a newer version',
      ),
    );
    const produced = await cluster.command(two, ['produce', '-n', '/after', '-d', 'x']);
    assert.equal(produced.code, 0, produced.stderr);
    one.program = speaking(NEWER);
    await cluster.start();
    producers.verify(await cluster.equalDumps());
  }),
);

test(
  'an older node does not join a cluster whose version is higher, and a newer one does',
  withCluster({}, async (cluster) => {
    const [one, two, three] = [cluster.node(1), cluster.node(2), cluster.node(3)];
    for (const node of [one, two]) node.program = speaking(NEWER);
    one.peers = [two.address];
    two.peers = [one.address];
    one.start();
    two.start();
    await cluster.ready();
    for (const node of [one, two])
      await until(`version ${NEWER} is active`, async () => (await activeVersion(node)) === NEWER);
    three.program = speaking(TODAY);
    three.start();
    assert.equal((await three.end()).code, 1);
    assert.match(
      three.lastLogLines(),
      new RegExp(`speaks protocol ${NEWER}, and this node ${TODAY}: upgrade this node`),
    );
    three.program = one.program;
    three.start();
    await cluster.ready();
  }),
);

async function restartedAs(node: ClusterNode, program: readonly string[]): Promise<void> {
  assert.deepEqual(await node.kill('SIGTERM'), { code: 0, signal: null });
  node.program = program;
  node.start();
}

async function activeVersion(node: ClusterNode): Promise<number> {
  return (await node.clusterStatus()).activeVersion;
}
