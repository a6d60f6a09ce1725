import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ERRORS, FlotillaError } from '../../src/base/index.js';
import { proto } from '../../src/wire/index.js';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import { append, type ClusterNode, type EventClient, newEvent, readThrough } from '../support/cluster-node.js';

/** The contract: writes sent later than this after the loss are refused. */
const GRACE_MS = 2000;
const WRITE_PERIOD_MS = 100;
const WRITES_AFTER_GRACE = 10;

describe('two of three are killed', { concurrency: true }, () => {
  for (const survivor of ['leader', 'follower'] as const)
    test(
      `the ${survivor} is left: it refuses writes, serves what is committed, and goes on when they return`,
      withReadyCluster({}, async (cluster, context) => {
        const leader = await cluster.leader();
        const alone = survivor === 'leader' ? leader : (await cluster.followers())[0];
        assert.ok(alone !== undefined);
        const others = cluster.nodes.filter((node) => node !== alone);
        const client = alone.connect();
        try {
          for (let event = 0; event < 20; event++)
            await append(client, [newEvent({ namespace: '/before', data: Buffer.from(`b${event}`) })]);
          await Promise.all(others.map((node) => node.kill('SIGKILL')));
          const writes = await writeThrough(client);
          context.diagnostic(`sent earlier: ${summary(writes.early)}; later: ${summary(writes.late)}`);
          for (const { data, outcome } of writes.late) {
            assert.ok(outcome instanceof FlotillaError, `${data} was acknowledged without a majority`);
            assert.equal(ERRORS[outcome.code].grpc, 'UNAVAILABLE', outcome.message);
            // Told by the node itself, in its trailers; the transport's own UNAVAILABLE would say that nothing can be
            // reached.
            assert.equal(outcome.code, 'NO_LEADER', outcome.message);
          }
          await readsGoOn(cluster, alone, client);
          const health = await alone.readiness();
          assert.equal(health?.status, 503);
          for (const { actor, address } of others)
            assert.ok(health.reasons.includes(`actor ${actor} (${address}) can't be reached`), String(health.reasons));

          for (const node of others) node.start();
          await cluster.ready();
          await append(client, [newEvent({ namespace: '/after' })]);
          const stored = new Set((await cluster.equalDumps()).map(({ data }) => data));
          for (const { data, outcome } of [...writes.early, ...writes.late]) {
            if (outcome === 'acknowledged') assert.ok(stored.has(data), `${data} was acknowledged`);
            else if (outcome.retryable) assert.ok(!stored.has(data), `${data} was refused: ${outcome.message}`);
          }
        } finally {
          client.close();
        }
      }),
    );
});

interface Write {
  readonly data: string;
  readonly outcome: 'acknowledged' | FlotillaError;
}

/**
 * Writes at a steady pace from now on, whatever becomes of those before, until enough were sent after the time of
 * grace.
 */
async function writeThrough(client: EventClient): Promise<{ readonly early: Write[]; readonly late: Write[] }> {
  const lostMs = performance.now();
  const early: Promise<Write>[] = [];
  const late: Promise<Write>[] = [];
  while (late.length < WRITES_AFTER_GRACE) {
    const isLate = performance.now() - lostMs > GRACE_MS;
    (isLate ? late : early).push(write(client, `w${early.length + late.length}`));
    await sleep(WRITE_PERIOD_MS);
  }
  return { early: await Promise.all(early), late: await Promise.all(late) };
}

async function write(client: EventClient, data: string): Promise<Write> {
  try {
    await append(client, [newEvent({ namespace: '/alone', data: Buffer.from(data) })]);
    return { data, outcome: 'acknowledged' };
  } catch (error) {
    assert.ok(error instanceof FlotillaError, String(error));
    return { data, outcome: error };
  }
}

async function readsGoOn(cluster: Cluster, alone: ClusterNode, client: EventClient): Promise<void> {
  const before = Array.from({ length: 20 }, (_, event) => `b${event}`);
  const datas = (await readThrough(client)).map(({ data }) => data);
  assert.deepEqual(datas.slice(0, 20), before);
  await assert.rejects(readThrough(client, { consistency: proto.Consistency.CONFIRMED }), { code: 'NO_LEADER' });

  const [consumed, produced] = await Promise.all([
    cluster.command(alone, ['consume', '-n', '/before']),
    cluster.command(alone, ['produce', '-n', '/alone', '-d', 'by hand']),
  ]);
  assert.equal(consumed.code, 0, consumed.stderr);
  assert.deepEqual([...consumed.stdout.matchAll(/^b\d+$/gm)].map(String), before);
  assert.match(consumed.stderr, /^warning: the end of the stream could not be confirmed with a majority[^\n]*\n$/);
  // Where its time ran out while an attempt was under way, it can't say more than that.
  assert.match(
    produced.stderr,
    produced.code === 4 ? /^error: [^\n]*\(OUTCOME_UNKNOWN\)\n$/ : /^error: [^\n]*\(NO_LEADER\)\n$/,
  );
  assert.ok(produced.code === 1 || produced.code === 4, produced.stderr);
}

function summary(writes: readonly Write[]): string {
  const counts = new Map<string, number>();
  for (const { outcome } of writes) {
    const name = outcome === 'acknowledged' ? outcome : outcome.code;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
}
