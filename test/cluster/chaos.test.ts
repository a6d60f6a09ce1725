import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { present, type Random, seededRandom } from '../../src/base/index.js';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import type { ClusterNode } from '../support/cluster-node.js';
import { ConsistentReader, Newest } from '../support/consistent-reader.js';
import { RecordedProducers } from '../support/recorded-producers.js';

/** CHAOS_SECONDS=60 and more is for finding something new; CHAOS_SEED draws the same faults again, at other moments. */
const CHAOS_MS = Number(process.env['CHAOS_SECONDS'] ?? 6) * 1000;
const SEED = Number(process.env['CHAOS_SEED'] ?? 1 + Math.floor(Math.random() * 2 ** 31));
const WRITE_PERIOD_MS = 5;
/** Between two faults: at least, and at random more. */
const CALM_MS = 100;
const CALM_SPREAD_MS = 500;

test(
  'links are cut, slowed and reset, nodes paused, killed and stopped, all at random: nothing acknowledged is ' +
    'lost, no consistent read is stale, and it recovers',
  withReadyCluster({ proxies: true }, async (cluster, context) => {
    context.diagnostic(`CHAOS_SEED=${SEED}`);
    const newest = new Newest();
    const producers = [
      produceThrough(cluster, newest, { name: 'one', workers: 4 }),
      produceThrough(cluster, newest, { name: 'other', workers: 4 }),
    ];
    for (const writing of producers) await writing.progress(20);
    const readers = cluster.nodes.map((node) => new ConsistentReader(node, newest));
    await Promise.all(readers.map((reader) => reader.answers(2)));

    const faults = new Faults(cluster, seededRandom(SEED));
    for (const startedMs = performance.now(); performance.now() - startedMs < CHAOS_MS; ) await faults.another();
    await faults.end();
    await cluster.ready();
    for (const writing of producers) await writing.progress(20);
    await Promise.all(readers.map((reader) => reader.answers(2)));

    for (const writing of producers) await writing.stop();
    const refusedReads = await Promise.all(readers.map((reader) => reader.stop()));
    tell(context, faults, producers, readers, refusedReads);
    const dump = await cluster.equalDumps();
    for (const writing of producers) writing.verify(dump);
    for (const reader of readers) assert.deepEqual(reader.stale, []);
  }),
);

function produceThrough(
  cluster: Cluster,
  newest: Newest,
  options: { readonly name: string; readonly workers: number },
): RecordedProducers {
  const client = cluster.client();
  return new RecordedProducers(async (event) => {
    const receipt = await client.produce(event);
    newest.acknowledged(receipt.id);
    await sleep(WRITE_PERIOD_MS);
    return receipt;
  }, options);
}

/** Draws one fault after the other. A node that is killed or paused comes back by itself, a little later. */
class Faults {
  readonly counts = new Map<string, number>();
  private readonly cluster: Cluster;
  private readonly random: Random;
  private readonly away = new Map<ClusterNode, Promise<void>>();

  constructor(cluster: Cluster, random: Random) {
    this.cluster = cluster;
    this.random = random;
  }

  async another(): Promise<void> {
    const name = this.oneOf(FAULT_NAMES);
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    await FAULTS[name](this);
    await sleep(CALM_MS + this.random() * CALM_SPREAD_MS);
  }

  /** Heals the network, and waits for the nodes that are away. */
  async end(): Promise<void> {
    this.cluster.network.heal();
    await Promise.all(this.away.values());
  }

  oneOf<Choice>(choices: readonly Choice[]): Choice {
    return present(choices[Math.floor(this.random() * choices.length)], 'there is something to choose from');
  }

  get network(): Cluster['network'] {
    return this.cluster.network;
  }

  get actor(): number {
    return this.oneOf(this.cluster.nodes).actor;
  }

  get link(): ReturnType<Cluster['network']['link']> {
    return this.oneOf(this.network.links);
  }

  /** Pauses a node, or kills it, for up to `awayMs`. */
  takeAway(
    leave: (node: ClusterNode) => Promise<unknown>,
    comeBack: (node: ClusterNode) => void,
    awayMs: number,
  ): void {
    const node = this.oneOf(this.cluster.nodes);
    if (this.away.has(node)) return;
    const absence = async (): Promise<void> => {
      await leave(node);
      await sleep(this.random() * awayMs);
      comeBack(node);
      this.away.delete(node);
    };
    this.away.set(node, absence());
  }
}

const FAULTS = {
  cutOneLink: async (faults: Faults) => faults.link.cut(faults.oneOf(['there', 'back'] as const)),
  silence: async (faults: Faults) => faults.network.silence(faults.actor),
  deafen: async (faults: Faults) => faults.network.deafen(faults.actor),
  isolate: async (faults: Faults) => faults.network.isolate(faults.actor),
  delay: async (faults: Faults) => faults.link.delay(faults.oneOf([5, 50, 300])),
  drip: async (faults: Faults) => faults.link.drip(faults.oneOf([500, 5_000, 50_000])),
  reset: async (faults: Faults) => faults.link.reset(),
  heal: async (faults: Faults) => faults.network.heal(),
  healAgain: async (faults: Faults) => faults.network.heal(),
  pause: async (faults: Faults) => {
    faults.takeAway(
      async (node) => node.pause(),
      (node) => node.resume(),
      4000,
    );
  },
  kill: async (faults: Faults) => {
    faults.takeAway(
      (node) => node.kill('SIGKILL'),
      (node) => node.start(),
      1500,
    );
  },
  stop: async (faults: Faults) => {
    faults.takeAway(
      (node) => node.kill('SIGTERM'),
      (node) => node.start(),
      1500,
    );
  },
} as const satisfies Readonly<Record<string, (faults: Faults) => Promise<void>>>;

const FAULT_NAMES = Object.keys(FAULTS) as (keyof typeof FAULTS)[];

function tell(
  context: TestContext,
  { counts }: Faults,
  producers: readonly RecordedProducers[],
  readers: readonly ConsistentReader[],
  refusedReads: readonly number[],
): void {
  context.diagnostic([...counts].map(([name, count]) => `${count} ${name}`).join(', '));
  for (const { acknowledged, refused, unknown } of producers)
    context.diagnostic(`${acknowledged.size} events acknowledged, ${refused.size} refused, ${unknown.size} unknown`);
  context.diagnostic(
    `reads answered ${readers.map(({ answered }) => answered).join(', ')}; not answered ${refusedReads.join(', ')}`,
  );
}
