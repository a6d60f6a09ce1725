import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, logIndex, type Random, seededRandom } from '../../src/base/index.js';
import type { Proposed } from '../../src/replica/index.js';
import { batchesOf, eventsOf, packBody } from '../../src/wire/index.js';
import { type Fate, fateOf, ReplicaCluster } from '../replica/replica-cluster.js';

const SEEDS = Number(process.env['SIM_SEEDS'] ?? 60);
const ONE_SEED = process.env['SIM_SEED'];
const ACTIONS = 120;
const ACTORS = [1, 2, 3];
/** These say that a batch was certainly not appended. */
const REFUSALS = new Set(['NO_LEADER', 'NOT_LEADER', 'SHUTTING_DOWN', 'TOO_MANY_REQUESTS']);

interface Sent {
  readonly name: string;
  readonly fate: Fate<Proposed>;
}

class History {
  readonly cluster = new ReplicaCluster(ACTORS, { cacheBytes: 3000 });
  readonly sent: Sent[] = [];
  /** Every committed event that was seen at any node, by its counter: logs are cut. */
  readonly seen = new Map<number, string>();
  cuts = 0;
  private readonly random: Random;
  /** Every other history has hardly ever a majority, which leaves many outcomes open; the rest make progress. */
  private readonly rough: boolean;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.rough = seed % 2 === 1;
  }

  async act(): Promise<void> {
    const { cluster } = this;
    const actor = 1 + Math.floor(this.random() * ACTORS.length);
    const server = cluster.servers.get(actorId(actor));
    const choice = this.random();
    if (this.rough && this.random() < 0.02) return this.strand(actor);
    if (server === undefined) return choice < 0.5 ? cluster.start(actor) : this.passTime();
    if (cluster.cuts.has(server.actor) && choice < (this.rough ? 0.1 : 0.5)) cluster.heal(actor);
    else if (choice < 0.45) this.submit(actor);
    else if (choice < (this.rough ? 0.53 : 0.5)) cluster.cut(actor);
    else if (choice < (this.rough ? 0.6 : 0.54)) cluster.crash(actor);
    else if (choice < (this.rough ? 0.68 : 0.58)) server.storage.held = true;
    else if (choice < (this.rough ? 0.75 : 0.7)) server.storage.release();
    else if (choice < (this.rough ? 0.8 : 0.75)) await this.cutLog(actor);
    else return this.passTime();
    // Often several things happen in one turn.
    if (this.random() < 0.5) await cluster.settle();
  }

  /** Ends all faults and waits until everything is decided. */
  async finish(): Promise<void> {
    const { cluster } = this;
    for (const actor of ACTORS) {
      if (!cluster.servers.has(actorId(actor))) cluster.start(actor);
      cluster.server(actor).storage.release();
    }
    for (const actor of ACTORS) cluster.heal(actor);
    await cluster.advance(6000);
    for (const { fatal } of cluster.servers.values()) assert.deepEqual(fatal, []);
  }

  /** The names of all events, with the ids that they have at this node. */
  async eventsAt(actor: number): Promise<{ id: number; name: string }[]> {
    const records = await this.cluster.recordsOf(actor, this.cluster.replica(actor).commitIndex);
    return records
      .filter(({ kind }) => kind === 'events')
      .flatMap(batchesOf)
      .flatMap((batch) => eventsOf(batch, 'all').map(({ id, data }) => ({ id: id.counter, name: Buffer.from(data).toString() })));
  }

  /** All nodes that gave out an event gave out the same one. */
  async see(actor: number): Promise<void> {
    for (const { id, name } of await this.eventsAt(actor)) {
      assert.equal(this.seen.get(id) ?? name, name, `event ${id} is the same on all nodes`);
      this.seen.set(id, name);
    }
  }

  private async cutLog(actor: number): Promise<void> {
    await this.see(actor);
    const { replica } = this.cluster.server(actor);
    const before = replica.begin.index;
    replica.cutLog(logIndex(before + Math.floor(this.random() * (replica.commitIndex - before + 1))));
    if (replica.begin.index > before) this.cuts++;
  }

  private submit(actor: number): void {
    const name = `event ${this.sent.length}`;
    const body = packBody([{ namespace: '/sim', data: Buffer.from(name) }]);
    this.sent.push({ name, fate: fateOf(this.cluster.replica(actor).submit(body)) });
  }

  /** A batch reaches the followers and nobody hears of it, for longer than its producer's node waits. */
  private async strand(crashing: number): Promise<void> {
    const { cluster } = this;
    const leader = [...cluster.servers.values()].find(({ replica }) => replica.role === 'leader');
    if (leader === undefined || leader.actor === crashing) return;
    this.submit(leader.actor);
    leader.clock.runSoon();
    cluster.deliver();
    cluster.cut(leader.actor);
    cluster.crash(crashing);
    await cluster.advance(4000);
  }

  private passTime(): Promise<void> {
    const looking = this.random() < 0.3 ? [1 + Math.floor(this.random() * ACTORS.length)] : [];
    // Now and then long enough for whoever waits for an outcome to give up.
    const longestMs = this.random() < 0.1 ? 4000 : 600;
    return this.cluster.advance(10 + Math.floor(this.random() ** 2 * longestMs), ...looking);
  }
}

test('whatAProducerIsTold_isWhatHappened_overCrashesCutsAndSlowDisks', async (context) => {
  const outcomes = new Map<string, number>();
  const seeds = ONE_SEED === undefined ? Array.from({ length: SEEDS }, (_, position) => position + 1) : [Number(ONE_SEED)];
  for (const seed of seeds) {
    const history = new History(seed);
    try {
      for (let action = 0; action < ACTIONS; action++) await history.act();
      await history.finish();
      await check(history, outcomes);
    } catch (error) {
      throw new Error(`seed ${seed}; replay: SIM_SEED=${seed} node --import tsx --test test/sim/replica.test.ts`, { cause: error });
    }
  }
  context.diagnostic(JSON.stringify(Object.fromEntries(outcomes)));
  if (ONE_SEED !== undefined) return;
  for (const outcome of [
    'acknowledged',
    'OUTCOME_UNKNOWN',
    'NOT_LEADER',
    'NO_LEADER',
    'OUTCOME_UNKNOWN, and appended',
    'never told, and appended',
    'logs cut',
    'snapshots installed',
  ]) {
    assert.ok((outcomes.get(outcome) ?? 0) >= SEEDS / 20, `vacuous: ${JSON.stringify([...outcomes])}`);
  }
});

async function check(history: History, outcomes: Map<string, number>): Promise<void> {
  const ends = await Promise.all(ACTORS.map((actor) => history.eventsAt(actor)));
  const common = Math.min(...ends.map((events) => events.length));
  for (const events of ends)
    assert.deepEqual(events.slice(-common || events.length), ends[0]?.slice(-common || ends[0].length), 'equal ends');
  for (const actor of ACTORS) await history.see(actor);
  const counters = [...history.seen.keys()].sort((a, b) => a - b);
  assert.deepEqual(
    counters,
    counters.map((_, position) => position + 1),
    'counters without gaps',
  );
  const ids = new Map([...history.seen].map(([id, name]) => [name, id]));
  assert.equal(ids.size, history.seen.size, 'nothing twice');
  outcomes.set('logs cut', (outcomes.get('logs cut') ?? 0) + history.cuts);
  const snapshots = [...history.cluster.servers.values()].reduce((sum, { storage }) => sum + storage.snapshots, 0);
  outcomes.set('snapshots installed', (outcomes.get('snapshots installed') ?? 0) + snapshots);
  for (const { name, fate } of history.sent) {
    const outcome = fate.state === 'resolved' ? 'acknowledged' : (fate.code ?? 'never told');
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (outcome === 'acknowledged') assert.equal(ids.get(name), fate.value?.firstCounter, `${name} was acknowledged`);
    else if (outcome === 'OUTCOME_UNKNOWN' || outcome === 'never told') {
      if (ids.has(name)) outcomes.set(`${outcome}, and appended`, (outcomes.get(`${outcome}, and appended`) ?? 0) + 1);
    } else {
      assert.ok(REFUSALS.has(outcome), outcome);
      assert.equal(ids.get(name), undefined, `${name} was refused with ${outcome}, and is in the log`);
    }
  }
}
