import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { StreamInfo } from '../../src/client/index.js';
import { type Cluster, withCluster } from '../support/cluster.js';
import type { ClusterNode } from '../support/cluster-node.js';
import { COMMAND } from '../support/command-process.js';
import { until } from '../support/until.js';

const PRELOAD = fileURLToPath(new URL('../support/shifted-clock.cjs', import.meta.url));
const MINUTE_MS = 60_000;
const DAYS_30_MS = 30 * 24 * 60 * MINUTE_MS;
const EVENTS = 300;
/** What a busy machine may take for what follows at once. */
const SLACK_MS = 60_000;

/** The next start of a node finds its time of day off by so much. */
function shift(node: ClusterNode, shiftMs: number): void {
  node.program = ['--require', PRELOAD, COMMAND];
  node.environment = { SHIFTED_CLOCK_MS: String(shiftMs) };
}

/** Events that are ten minutes old; no node runs afterwards. */
async function fill(cluster: Cluster): Promise<void> {
  for (const node of cluster.nodes) shift(node, -10 * MINUTE_MS);
  await cluster.start();
  const [first] = cluster.nodes;
  assert.ok(first !== undefined);
  await until('the age is bounded', async () => (await show(cluster, first)).settings.maxAgeMs === 60 * MINUTE_MS);
  await append(cluster, first, EVENTS);
  for (const node of cluster.nodes) await node.kill('SIGTERM');
}

async function append(cluster: Cluster, node: ClusterNode, count: number): Promise<void> {
  await cluster
    .client({ hosts: node.address })
    .append(Array.from({ length: count }, (_, position) => ({ namespace: '/clock', data: `${position}` })));
}

/** As this very node knows it. */
async function show(cluster: Cluster, node: ClusterNode): Promise<StreamInfo> {
  return await cluster.client({ hosts: node.address }).stream();
}

/** More than is kept by count is appended: when that is given up, the leader has looked at what is too old as well. */
async function letRetentionLook(cluster: Cluster, leader: ClusterNode): Promise<void> {
  const set = await cluster.command(leader, ['stream', 'set', '--max-events', String(EVENTS + 5)]);
  assert.equal(set.code, 0, set.stderr);
  await append(cluster, leader, 10);
  for (const node of cluster.nodes)
    await until(
      `node ${node.actor} has given up something`,
      async () => Number((await show(cluster, node)).firstId?.slice(0, 20)) > 1,
      {
        state: () => cluster.logs(),
      },
    );
}

async function consumeUntilNow(cluster: Cluster, node: ClusterNode): Promise<{ timestamp: string }[]> {
  const consumed = await cluster.command(node, ['consume', '--until', '0s', '--json']);
  assert.equal(consumed.code, 0, consumed.stderr);
  return consumed.stdout
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

test(
  'a leader whose clock is 30 days ahead gives up nothing that is minutes old, stamps with the time of the ' +
    'others, and says that it is off',
  withCluster({ args: ['--max-age', '1h'] }, async (cluster) => {
    await fill(cluster);
    for (const node of cluster.nodes) shift(node, node.actor === 3 ? DAYS_30_MS : 0);
    await cluster.start();
    const wrong = cluster.node(3);
    const leader = await cluster.leader();
    if (leader !== wrong) {
      const transfer = await cluster.command(leader, ['cluster', 'transfer', '3']);
      assert.equal(transfer.code, 0, transfer.stderr);
    }
    await letRetentionLook(cluster, wrong);
    assert.equal(await cluster.leader(), wrong);

    for (const node of cluster.nodes) {
      const { events } = await show(cluster, node);
      assert.equal(events, EVENTS + 5, `node ${node.actor}`);
      const found = await consumeUntilNow(cluster, node);
      assert.equal(found.length, EVENTS + 5, `node ${node.actor}, until now`);
      const offMs = Math.max(...found.slice(-10).map(({ timestamp }) => Math.abs(Date.parse(timestamp) - Date.now())));
      assert.ok(offMs < SLACK_MS, `events of the wrong leader are stamped ${offMs} ms off`);
    }
    await until('the wrong node says so', async () => {
      const { status, text } = (await wrong.http('/readyz')) ?? {};
      return status === 200 && /this node's clock is 30(\.0)? days ahead/.test(text ?? '');
    });
    const skew = /^flotilla_clock_skew_seconds\{peer="1"\} (-?[\d.]+)/m.exec(
      (await wrong.http('/metrics'))?.text ?? '',
    );
    assert.ok(Math.abs(Number(skew?.[1]) + DAYS_30_MS / 1000) < SLACK_MS / 1000, `skew ${skew?.[1]}`);
    assert.match(cluster.logs(), /this node's clock is 30(\.0)? days ahead/);
  }),
);

test(
  'a cluster of one starts with its clock 30 days ahead: nothing is given up, and once the clock is right again ' +
    'what came before now is found',
  withCluster({ nodes: 1, args: ['--max-age', '1h'] }, async (cluster) => {
    await fill(cluster);
    const node = cluster.node(1);
    shift(node, DAYS_30_MS);
    await cluster.start();
    await letRetentionLook(cluster, node);
    assert.equal((await show(cluster, node)).events, EVENTS + 5);
    await node.kill('SIGTERM');
    shift(node, 0);
    await cluster.start();
    await append(cluster, node, 1);
    await until('what is too many is given up', async () => (await show(cluster, node)).events === EVENTS + 5);
    assert.equal((await consumeUntilNow(cluster, node)).length, EVENTS + 5);
  }),
);
