import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FlotillaClient } from '../../src/client/index.js';
import { proto } from '../../src/wire/index.js';
import { withReadyCluster } from '../support/cluster.js';
import { flotilla } from '../support/command-process.js';
import { RecordedProducers } from '../support/recorded-producers.js';
import { until } from '../support/until.js';

interface Summary {
  readonly confirmed: boolean;
  readonly lastCounter: number;
  readonly lastIndex: number;
  readonly addedRecords: number;
}

test(
  'a stream is backed up under load, twice, from a follower, and restored as another cluster, which grows and goes on',
  withReadyCluster({}, async (cluster) => {
    const backup = join(cluster.dataDir, '..', 'backup');
    const [follower] = await cluster.followers();
    assert.ok(follower !== undefined);
    const client = cluster.client();
    const producers = new RecordedProducers((event) => client.produce(event), { workers: 8 });
    await producers.progress(200);
    const backUp = async (): Promise<Summary> => {
      const { code, stdout, stderr } = await cluster.command(follower, ['backup', backup, '--json']);
      assert.deepEqual([code, stderr], [0, '']);
      return JSON.parse(stdout);
    };
    const known = producers.acknowledged.size;
    const first = await backUp();
    assert.ok(first.confirmed && first.lastCounter >= known, `${first.lastCounter} of ${known} acknowledged events`);
    await producers.progress(200);
    const second = await backUp();
    assert.ok(second.lastCounter > first.lastCounter);
    assert.equal(second.addedRecords, second.lastIndex - first.lastIndex, 'only what is new has come');
    await producers.stop();
    const before = (await cluster.equalDumps()).slice(0, second.lastCounter);
    const verified = await flotilla(['restore', backup, '--verify-only']);
    assert.equal(verified.code, 0, verified.stderr);
    assert.match(verified.stdout, new RegExp(`is whole: events 1 to ${second.lastCounter},`));

    const [one, two, three] = cluster.nodes;
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    await Promise.all(cluster.nodes.map((node) => node.kill('SIGKILL')));
    rmSync(cluster.dataDir, { recursive: true });
    const restored = await flotilla(['restore', backup, '-d', cluster.dataDir, '-A', '1']);
    assert.equal(restored.code, 0, restored.stderr);
    const again = await flotilla(['restore', backup, '-d', cluster.dataDir, '-A', '1']);
    assert.deepEqual([again.code, again.stdout], [1, '']);
    assert.match(again.stderr, /^error: [^\n]*node-1 is there already[^\n]*\(INVALID_ARGUMENT\)\n$/);

    one.peers = [];
    two.peers = [one.address];
    three.peers = [one.address];
    await cluster.start();
    await until('all vote', async () => {
      const { nodes } = await one.clusterStatus();
      return (
        nodes.length === 3 &&
        nodes.every(({ role }) => role === proto.NodeRole.LEADER || role === proto.NodeRole.FOLLOWER)
      );
    });
    assert.deepEqual(await cluster.equalDumps(), before);
    const producer = new FlotillaClient({ hosts: [three.address] });
    const receipt = await producer.produce({ namespace: '/after', data: 'x' });
    assert.equal(Number(receipt.id.slice(0, 20)), second.lastCounter + 1, 'counters go on');
    await producer.close();

    // What was backed up before is not of this stream.
    const other = await cluster.command(two, ['backup', backup]);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /^error: the stream does not continue the backup[^\n]*\(POSITION_MISMATCH\)\n$/);
  }),
);
