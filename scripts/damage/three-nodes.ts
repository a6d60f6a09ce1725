import assert from 'node:assert/strict';
import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FlotillaClient } from '../../src/client/index.js';
import { verifyNode } from '../../src/offline/index.js';
import { proto } from '../../src/wire/index.js';
import { Cluster } from '../../test/support/cluster.js';
import type { ClusterNode } from '../../test/support/cluster-node.js';
import { until } from '../../test/support/until.js';
import { Questions, WrongAnswer } from './answers.js';
import type { DamageCase } from './cases.js';
import { instanceOf, segmentNamed, segmentsOf } from './node-folder.js';
import { MORE_THAN_A_SEGMENT, ProducedEvents } from './producing.js';
import type { Outcome, Table } from './table.js';

const ARGS = [
  '--election-timeout',
  '500ms',
  '--heartbeat-interval',
  '50ms',
  '--segment-bytes',
  '1MiB',
  '--max-cache-memory',
  '1MiB',
];
const EVENTS_AT_FIRST = 500;
const EVENTS_BETWEEN = 20;

/**
 * One node of three is stopped, damaged and started, case after case, each time
 * another one. No client may get a wrong event or miss an acknowledged one, from
 * any node and at any time; the damaged node must vote again by itself, be able to
 * lead, and be found sound when it is stopped the next time.
 */
export async function damageOneOfThree(cases: readonly DamageCase[], table: Table): Promise<void> {
  let round: Round | undefined;
  for (const [number, one] of cases.entries()) {
    const beginMs = performance.now();
    try {
      round ??= await Round.begin();
      const outcome = await round.run(one, number);
      table.add({ name: one.name, outcome, note: '', durationMs: performance.now() - beginMs });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const note = `${reason}\nthe data and the logs are in ${round?.path}`;
      table.add({ name: one.name, outcome: 'FAILED', note, durationMs: performance.now() - beginMs });
      await round?.abandon();
      round = undefined;
    }
  }
  await round?.end();
}

class Round {
  private readonly cluster: Cluster;
  private readonly client: FlotillaClient;
  private readonly produced: ProducedEvents;

  private constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.client = new FlotillaClient({
      hosts: cluster.nodes.map(({ address }) => address),
      timeoutMs: 60_000,
    });
    this.produced = new ProducedEvents(this.client);
  }

  static async begin(): Promise<Round> {
    const round = new Round(await Cluster.plan({ nodes: 3, args: ARGS }));
    await round.cluster.start();
    await round.produced.produce(EVENTS_AT_FIRST);
    await round.produced.trim();
    return round;
  }

  get path(): string {
    return join(this.cluster.dataDir, '..');
  }

  async run(one: DamageCase, number: number): Promise<Outcome> {
    const node = this.cluster.node(1 + (number % 3));
    const folder = join(this.cluster.dataDir, `node-${node.actor}`);
    const older = join(this.path, `older-${node.actor}`);
    await this.produced.trimIfLarge();
    await this.prepare(one, node, older);
    await node.kill(number % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
    await this.requireSound(node);
    const fresh = join(this.path, `fresh-${node.actor}`);
    cpSync(folder, fresh, { recursive: true });
    const applied = one.apply(folder, older);
    rmSync(older, { recursive: true, force: true });
    cpSync(fresh, older, { recursive: true });
    rmSync(fresh, { recursive: true });
    await this.produced.produce(EVENTS_BETWEEN);
    const logBegin = readFileSync(node.logPath).length;
    node.start();
    await this.requireWhole(node);
    if (applied !== 'damaged') return 'no damage';
    const log = readFileSync(node.logPath, 'utf8').slice(logBegin);
    if (log.includes('asks the others')) return 'began anew';
    return log.includes('was rebuilt') ? 'rebuilt a segment' : 'went on';
  }

  /** Ends with whatever is left sound. */
  async end(): Promise<void> {
    await this.client.close();
    for (const node of this.cluster.nodes) {
      await node.kill('SIGTERM');
      await this.requireSound(node);
    }
    await this.cluster.close();
  }

  /** What failed is kept. */
  async abandon(): Promise<void> {
    await Promise.all(this.cluster.nodes.map((node) => node.kill('SIGKILL')));
    await this.client.close();
  }

  private async prepare(one: DamageCase, node: ClusterNode, older: string): Promise<void> {
    const folder = join(this.cluster.dataDir, `node-${node.actor}`);
    const isOf = (copy: string): boolean => existsSync(copy) && instanceOf(copy) === instanceOf(folder);
    // What was open then is to be sealed now, and still there.
    const wasOpen = isOf(older) ? segmentsOf(older).begun.at(-1) : undefined;
    const { begun } = segmentsOf(folder);
    const fits = wasOpen !== undefined && begun.includes(wasOpen) && wasOpen !== begun.at(-1);
    if (one.needsOlder && !fits) {
      await this.restart(node, () => {
        rmSync(older, { recursive: true, force: true });
        cpSync(folder, older, { recursive: true });
      });
      await this.produced.produce(MORE_THAN_A_SEGMENT);
    }
    if (one.needsTables) {
      await this.produced.produce(EVENTS_BETWEEN);
      await this.caughtUp();
      await this.restart(node, () => undefined);
      await this.produced.produce(EVENTS_BETWEEN);
    }
    await this.caughtUp();
    const { needsSegment } = one;
    for (let attempt = 0; needsSegment !== undefined && segmentNamed(folder, needsSegment) === undefined; attempt++) {
      assert.ok(attempt < 40, `no segment is ${needsSegment}`);
      await this.produced.produce(EVENTS_BETWEEN);
      await this.caughtUp();
    }
  }

  private async restart(node: ClusterNode, meanwhile: () => void): Promise<void> {
    await node.kill('SIGTERM');
    meanwhile();
    node.start();
    await this.cluster.ready();
  }

  private async requireSound(node: ClusterNode): Promise<void> {
    const { damages } = await verifyNode({ dataDir: this.cluster.dataDir, actor: node.actor }, () => undefined);
    if (damages.length > 0)
      throw new WrongAnswer(`node ${node.actor} was not whole when it was stopped again: ${JSON.stringify(damages)}`);
  }

  private async requireWhole(node: ClusterNode): Promise<void> {
    const watching = new AbortController();
    const watched = this.watch(node, watching.signal).then(
      () => undefined,
      (error: unknown) => error,
    );
    try {
      await until(`node ${node.actor} votes again`, () => this.votes(node), { state: () => this.cluster.logs() });
    } finally {
      watching.abort();
    }
    const wrong = await watched;
    if (wrong !== undefined) throw wrong;
    await this.caughtUp();
    await this.requireRightAnswers(node, [node]);
    await until(
      `node ${node.actor} can lead`,
      async () => {
        if ((await node.status())?.role === proto.NodeRole.LEADER) return true;
        await this.client.transferLeadership(node.actor).catch(() => undefined);
        return false;
      },
      { state: () => this.cluster.logs() },
    );
    await this.produced.produce(EVENTS_BETWEEN);
    await this.caughtUp();
    await this.requireRightAnswers(node, this.cluster.nodes);
  }

  private async votes(node: ClusterNode): Promise<boolean> {
    assert.ok(node.running, `node ${node.actor} has ended\n${node.lastLogLines()}`);
    const role = (await node.status())?.role;
    const isVoter = role === proto.NodeRole.LEADER || role === proto.NodeRole.FOLLOWER;
    return isVoter && (await node.readiness())?.status === 200;
  }

  /** From the first moment on, whatever the node gives out as confirmed must be all that was acknowledged. */
  private async watch(node: ClusterNode, signal: AbortSignal): Promise<void> {
    const questions = new Questions(node.address, proto.Consistency.CONFIRMED);
    const { known } = this.produced;
    while (!signal.aborted) {
      await questions.forwards(known, { orRefused: true });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  private async caughtUp(): Promise<void> {
    await until('all nodes hold the same', async () => {
      const rows = await Promise.all(this.cluster.nodes.map((node) => node.status()));
      const ends = new Set(rows.flatMap((row) => [row?.commitIndex, row?.lastIndex]));
      return ends.size === 1 && !ends.has(undefined);
    });
  }

  private async requireRightAnswers(damaged: ClusterNode, asked: readonly ClusterNode[]): Promise<void> {
    const { known } = this.produced;
    for (const node of asked) {
      const questions = new Questions(node.address, proto.Consistency.LOCAL);
      const failures =
        node === damaged ? (await questions.all(known)).messages : [(await questions.forwards(known))?.message];
      const failure = failures.find((message) => message !== undefined);
      if (failure !== undefined)
        throw new WrongAnswer(`node ${node.actor} refuses what it could have from the others: ${failure}`);
    }
    const spread = known.filter((_, at) => at % 40 === 0);
    const refused = await new Questions(damaged.address, proto.Consistency.LOCAL).byId(spread);
    if (refused.length > 0)
      throw new WrongAnswer(`node ${damaged.actor} refuses ${refused.length} events by their ids`);
  }
}
