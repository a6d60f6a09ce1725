/**
 * Disks whose syncs take long now and then: Debian's strace delays the sync calls of nodes that run. What is committed
 * by the others' disks is then known to a node long before it is on its own.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FlotillaClient } from '../../src/client/index.js';
import { proto } from '../../src/wire/index.js';
import type { Cluster } from '../../test/support/cluster.js';
import { type ClusterNode, type DumpedEvent, readThrough } from '../../test/support/cluster-node.js';
import { RecordedProducers } from '../../test/support/recorded-producers.js';
import { until } from '../../test/support/until.js';

/** In turn, one a round. */
const DELAYS_MS = [100, 400];
const SLOW_NODES = [1, 2, 3];
const ROUND_MS = 30_000;
/** Records are synced by the first, and what a new segment needs by the second. */
const CALLS = 'fdatasync,fsync';
/** One of so many calls of a thread. */
const EVERY = 7;
const TAILED = 'b';
const GLOB = `/w/plain/${TAILED}*`;
const NAMES = ['a', TAILED];
const WORKERS = 4;
/**
 * Segments of 1 MiB are then full several times a second: what goes wrong does so while one is sealed and the next
 * begun.
 */
const FILLER = { namespace: '/w/filler', data: 'x'.repeat(60_000) };
/** Longer than any disk here takes for what one event needs, and shorter than any client's patience. */
const ANSWER_MS = 20_000;
const RECEIPTS = 12;
const HELD_MS = 700;

type Print = (row: Record<string, unknown>) => void;

/** Runs `action` while every `every`-th sync of each thread of these nodes returns so much later. */
async function whileSlow<Result>(
  nodes: readonly ClusterNode[],
  delayMs: number,
  every: number,
  action: () => Promise<Result>,
): Promise<Result> {
  const tracers = nodes.map((node) => slowDown(node, delayMs, every));
  try {
    await Promise.all(tracers.map(({ attached }) => attached));
    return await action();
  } finally {
    for (const { process, ended } of tracers) {
      process.kill('SIGINT');
      await ended;
    }
  }
}

interface Tracer {
  readonly process: ChildProcess;
  readonly attached: Promise<unknown>;
  readonly ended: Promise<unknown>;
}

function slowDown(node: ClusterNode, delayMs: number, every: number): Tracer {
  const inject = `inject=${CALLS}:delay_exit=${delayMs * 1000}:when=${every}+${every}`;
  const tracer = spawn(
    'strace',
    ['-f', '-p', String(node.pid), '-e', `trace=${CALLS}`, '-e', inject, '-o', '/dev/null'],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let said = '';
  tracer.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const attached = until(`strace has node ${node.actor}`, () => /attached/.test(said), {
    timeoutMs: ANSWER_MS,
    state: () => said,
  });
  return { process: tracer, attached, ended: once(tracer, 'close') };
}

/** Everything that matches, as one node gives it out while it comes. */
class GlobTail {
  readonly ids: string[] = [];
  private readonly client: FlotillaClient;
  readonly ended: Promise<void>;

  constructor(cluster: Cluster, node: ClusterNode) {
    this.client = cluster.client({ hosts: [node.address] });
    this.ended = this.follow();
    // Its failure is reported where it is awaited.
    this.ended.catch(() => undefined);
  }

  private async follow(): Promise<void> {
    for await (const event of this.client.tail({ glob: GLOB })) {
      assert.ok(event.namespace.startsWith(`/w/plain/${TAILED}`), `${event.namespace} is not what was asked for`);
      this.ids.push(event.id);
    }
  }
}

/**
 * Rounds of load on nodes with slow syncs, each with a consumer that tails by a glob; then what each consumer got, held
 * against the stream.
 */
export async function slowSync(cluster: Cluster, rounds: number, print: Print): Promise<void> {
  await cluster.start();
  await receiptsAwaitTheSecondSync(cluster, print);
  const client = cluster.client({ timeoutMs: 30_000 });
  const producers = NAMES.map(
    (name) =>
      new RecordedProducers((event) => client.append([event, FILLER]), {
        workers: WORKERS,
        name: `w/plain/${name}`,
      }),
  );
  const tails = cluster.nodes.map((node) => new GlobTail(cluster, node));
  for (let round = 1; round <= rounds; round++) {
    const delayMs = DELAYS_MS[(round - 1) % DELAYS_MS.length] ?? 0;
    // The fewer are slow, the further the others' commits run ahead of them; where all are, the leader is one of them.
    const nodes = cluster.nodes.slice(0, SLOW_NODES[(round - 1) % SLOW_NODES.length]);
    const slowest = await whileSlow(nodes, delayMs, EVERY, () => watch(cluster, producers, tails));
    const acknowledged = producers.reduce((sum, each) => sum + each.acknowledged.size, 0);
    const tailed = tails.map(({ ids }) => ids.length);
    print({ round, delayMs, nodes: nodes.length, acknowledged, tailed, slowestAnswerMs: Math.round(slowest) });
  }
  for (const each of producers) await each.stop();
  const [dump = [], ...others] = await Promise.all(cluster.nodes.map(withoutFillers));
  for (const other of others) assert.deepEqual(other, dump);
  for (const each of producers) requireAcknowledged(each, dump);
  await requireComplete(tails, dump);
  print({ events: dump.length, tailed: tails.map(({ ids }) => ids.length), lost: 0 });
}

/**
 * Every node answers, and every tail and the producers get on, all the time. Returns the longest that an answer took.
 */
async function watch(
  cluster: Cluster,
  producers: readonly RecordedProducers[],
  tails: readonly GlobTail[],
): Promise<number> {
  let slowest = 0;
  for (const endMs = performance.now() + ROUND_MS; performance.now() < endMs; ) {
    const before = tails.map(({ ids }) => ids.length);
    const beganMs = performance.now();
    for (const node of cluster.nodes) {
      assert.ok(node.running, `node ${node.actor} ended: ${JSON.stringify(node.exit)}`);
      await until(`node ${node.actor} answers`, async () => (await node.http('/livez'))?.status === 200, {
        timeoutMs: ANSWER_MS,
      });
    }
    slowest = Math.max(slowest, performance.now() - beganMs);
    for (const [position, tail] of tails.entries())
      await until(`the tail at node ${position + 1} gets on`, () => tail.ids.length > (before[position] ?? 0), {
        timeoutMs: ANSWER_MS,
      });
    await Promise.all(producers.map((each) => each.progress(1)));
    await sleep(200);
  }
  return slowest;
}

/** All that a node gives out, but for what only fills the segments. */
async function withoutFillers(node: ClusterNode): Promise<DumpedEvent[]> {
  const client = node.connect();
  try {
    return await readThrough(client, { glob: '/w/plain/*', consistency: proto.Consistency.CONFIRMED });
  } finally {
    client.close();
  }
}

function requireAcknowledged(producers: RecordedProducers, dump: readonly DumpedEvent[]): void {
  const data = new Map(dump.map((event) => [event.id, event.data]));
  assert.equal(data.size, dump.length, 'no id is there twice');
  for (const [sent, { id }] of producers.acknowledged)
    assert.equal(data.get(id), sent, `${sent} was acknowledged as ${id}`);
  const there = new Set(data.values());
  for (const [sent, error] of producers.refused) assert.ok(!there.has(sent), `${sent} was refused: ${error.message}`);
}

async function requireComplete(tails: readonly GlobTail[], dump: readonly DumpedEvent[]): Promise<void> {
  const expected = dump.filter(({ namespace }) => namespace.startsWith(`/w/plain/${TAILED}`)).map(({ id }) => id);
  for (const [position, tail] of tails.entries()) {
    await until(`the tail at node ${position + 1} has all`, () => tail.ids.length >= expected.length);
    assert.deepEqual(tail.ids, expected, `the tail at node ${position + 1}: complete, in order, none twice`);
  }
}

/**
 * A receipt says that a majority has synced: it waits for the second disk of three, whichever two are slow, and for no
 * third.
 */
async function receiptsAwaitTheSecondSync(cluster: Cluster, print: Print): Promise<void> {
  const leader = await cluster.leader();
  const followers = await cluster.followers();
  const [first, second] = followers;
  assert.ok(first !== undefined && second !== undefined, 'this takes three nodes');
  const held: readonly (readonly [string, readonly ClusterNode[], boolean])[] = [
    ['one follower', [first], false],
    ['the leader', [leader], false],
    ['both followers', followers, true],
    ['leader and follower', [leader, second], true],
  ];
  for (const [which, nodes, waits] of held) {
    const client = cluster.client({ hosts: [(which === 'the leader' ? first : leader).address], followLeader: false });
    await client.produce({ namespace: '/receipts' });
    const tookMs: number[] = [];
    await whileSlow(nodes, HELD_MS, 1, async () => {
      for (let receipt = 0; receipt < RECEIPTS; receipt++) {
        const beganMs = performance.now();
        await client.produce({ namespace: '/receipts' });
        tookMs.push(Math.round(performance.now() - beganMs));
      }
    });
    print({ held: which, tookMs });
    if (waits)
      assert.ok(Math.min(...tookMs) >= HELD_MS, `a receipt came before a second disk had the event: ${which} held`);
    else assert.ok(Math.max(...tookMs) < HELD_MS, `a receipt waited for a third disk: ${which} held`);
  }
}
