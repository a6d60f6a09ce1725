import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, FlotillaError, type Member, type Random, seededRandom } from '../../src/base/index.js';
import { type DiscoveryClient, Formation, type Founded } from '../../src/peer/index.js';
import { NodeKey, SPOKEN_VERSIONS } from '../../src/wire/index.js';
import { silentLogger } from './peer-fixture.js';

const ROUND_MS = 4;
const SCENARIOS = 120;
/** What a network that falls in two lasts at most. */
const STEPS = 400;

/** Which node has it does not matter: no proof is asked for here. */
const KEY = NodeKey.generate();

interface World {
  readonly random: Random;
  /** The nodes by every spelling of their address; absent while a node is down. */
  readonly listening: Map<string, Formation>;
  healed: boolean;
  /** Whether two nodes can reach each other; absent: all can. */
  readonly reaches?: (from: number, to: number) => boolean;
}

class Node {
  readonly self: Member;
  readonly peers: readonly string[];
  outcome: Founded | FlotillaError | undefined;
  promised: readonly Member[] | undefined;
  formation: Formation | undefined;
  private readonly world: World;
  private controller = new AbortController();
  private running: Promise<void> = Promise.resolve();

  constructor(world: World, actor: number, peers: readonly string[]) {
    this.world = world;
    this.self = { actor: actorId(actor), instance: String(actor).repeat(32), address: `node${actor}:1` };
    this.peers = peers;
  }

  start(): void {
    this.controller = new AbortController();
    const { self, world } = this;
    const node = this;
    const formation = new Formation({
      self,
      versions: () => SPOKEN_VERSIONS,
      store: {
        get identity() {
          const own = { bootCounter: 1, boots: ['0'.repeat(16)], secret: KEY.secret };
          return node.promised === undefined ? own : { ...own, promised: node.promised };
        },
        promise: async (members) => {
          assert.equal(node.promised, undefined, 'a promise is never replaced');
          await delay(world);
          node.promised = members;
        },
      },
      peerAddresses: this.peers,
      logger: silentLogger,
      discovery: lossyDiscovery(world),
      roundMs: ROUND_MS,
    });
    this.formation = formation;
    for (const spelling of [`node${self.actor}:1`, `alias${self.actor}:1`]) world.listening.set(spelling, formation);
    this.running = formation.form(this.controller.signal).then(
      (founded) => {
        this.outcome = founded;
      },
      (error: unknown) => {
        assert.ok(error instanceof FlotillaError, String(error));
        if (error.code !== 'CANCELLED') this.outcome = error;
      },
    );
  }

  async stop(): Promise<void> {
    for (const spelling of [`node${this.self.actor}:1`, `alias${this.self.actor}:1`])
      this.world.listening.delete(spelling);
    this.controller.abort();
    await this.running;
  }
}

async function delay({ random }: World): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, random() * 3));
}

function lossyDiscovery(world: World): DiscoveryClient {
  return {
    introduce: async (address, request) => {
      await delay(world);
      if (!world.healed && world.random() < 0.15) throw new Error('lost');
      const to = Number(/\d+/.exec(address)?.[0]);
      const isReached = world.reaches?.(request.self?.actorId ?? 0, to) !== false;
      const response = isReached ? await world.listening.get(address)?.introduce(request) : undefined;
      if (response === undefined) throw new Error('nobody there');
      await delay(world);
      if (!world.healed && world.random() < 0.15) throw new Error('lost');
      return response;
    },
    join: () => Promise.reject(new FlotillaError('FOREIGN_NODE', 'nobody joins in this test')),
    keep: () => undefined,
  };
}

interface Result {
  readonly nodes: readonly Node[];
  readonly connected: boolean;
}

/** One random history: partial lists, late starts, losses, crashes that keep the disk; then everything heals. */
async function play(seed: number): Promise<Result> {
  const random = seededRandom(seed);
  const world: World = { random, listening: new Map(), healed: false };
  const count = 2 + Math.floor(random() * 4);
  const density = 0.2 + random() * 0.8;
  const lists = Array.from({ length: count }, (_, from) =>
    Array.from({ length: count }, (__, to) => to).filter((to) => to !== from && random() < density),
  );
  const spell = (to: number): string => `${random() < 0.5 ? 'node' : 'alias'}${to + 1}:1`;
  const nodes = lists.map((list, from) => new Node(world, from + 1, list.map(spell)));
  for (const node of nodes) {
    if (random() < 0.5) await delay(world);
    node.start();
  }
  for (let crash = 0; crash < 3; crash++) {
    await new Promise((resolve) => setTimeout(resolve, random() * 5 * ROUND_MS));
    const node = nodes[Math.floor(random() * count)];
    if (node === undefined || node.outcome !== undefined) continue;
    await node.stop();
    await delay(world);
    node.start();
  }
  world.healed = true;
  const connected = reachesAll(lists);
  const deadline = performance.now() + 15_000;
  const quiet = performance.now() + 40 * ROUND_MS;
  while (performance.now() < (connected ? deadline : quiet) && nodes.some(({ outcome }) => outcome === undefined))
    await delay(world);
  await Promise.all(nodes.map((node) => node.stop()));
  return { nodes, connected };
}

/** Whether from each node's list all others can be reached. */
function reachesAll(lists: readonly (readonly number[])[]): boolean {
  return lists.every((_, start) => {
    const seen = new Set([start]);
    for (const from of seen) for (const to of lists[from] ?? []) seen.add(to);
    return seen.size === lists.length;
  });
}

test(`random histories (${SCENARIOS}) never lead to two clusters with a common member`, async () => {
  let formed = 0;
  let connectedHistories = 0;
  const seeds = Array.from({ length: SCENARIOS }, (_, index) => index + 1);
  await Promise.all(
    seeds.map(async (seed) => {
      const { nodes, connected } = await play(seed);
      const clusters = new Map<string, Founded>();
      for (const { outcome, self } of nodes) {
        if (outcome === undefined || outcome instanceof FlotillaError) continue;
        formed++;
        clusters.set(outcome.clusterId, outcome);
        assert.ok(
          outcome.membership.voters.includes(self.actor),
          `seed ${seed}: actor ${self.actor} is in a cluster without itself`,
        );
      }
      const voters = [...clusters.values()].flatMap(({ membership }) => membership.voters);
      assert.equal(new Set(voters).size, voters.length, `seed ${seed}: two clusters share a member`);
      if (!connected) return;
      connectedHistories++;
      const outcomes = nodes.map(({ outcome }) =>
        outcome instanceof FlotillaError ? outcome.message : outcome?.membership.voters.length,
      );
      assert.ok(
        outcomes.every((outcome) => outcome === nodes.length),
        `seed ${seed}: lists that reach everybody ended as ${JSON.stringify(outcomes)}; promised ` +
          `${JSON.stringify(nodes.map(({ promised }) => promised?.map(({ actor }) => actor)))}`,
      );
    }),
  );
  assert.ok(
    connectedHistories > SCENARIOS / 5 && formed > SCENARIOS,
    `too little happened: ${connectedHistories} connected, ${formed} formed`,
  );
});

/**
 * All nodes name all others, the network falls in two for a while, and on each side an operator tells the nodes to form
 * without those that don't answer.
 */
async function playHalves(seed: number): Promise<readonly Node[]> {
  const random = seededRandom(seed);
  const count = 2 + Math.floor(random() * 4);
  const sides = Array.from({ length: count }, () => random() < 0.5);
  // Counted in steps: on a machine that is slow all that happens here is slow alike.
  const healsAfter = random() * STEPS * (2 / 3);
  let steps = 0;
  const world: World = {
    random,
    listening: new Map(),
    healed: random() < 0.7,
    reaches: (from, to) => steps > healsAfter || sides[from - 1] === sides[to - 1],
  };
  const lists = Array.from({ length: count }, (_, from) =>
    Array.from({ length: count }, (__, to) => to)
      .filter((to) => to !== from)
      .map((to) => `node${to + 1}:1`),
  );
  const nodes = lists.map((list, from) => new Node(world, from + 1, list));
  for (const node of nodes) {
    if (random() < 0.5) await delay(world);
    node.start();
  }
  for (; steps < STEPS && nodes.some(({ outcome }) => outcome === undefined); steps++) {
    await delay(world);
    const node = nodes[Math.floor(random() * count)];
    if (node === undefined || random() < 0.5) continue;
    const others = (lists[node.self.actor - 1] ?? []).filter(
      (address) => sides[Number(/\d+/.exec(address)?.[0]) - 1] !== sides[node.self.actor - 1],
    );
    // Refused more often than not; what matters is what comes of it when it is not.
    node.formation?.formWithout(others).catch(() => undefined);
  }
  await Promise.all(nodes.map((node) => node.stop()));
  return nodes;
}

test(`random halves (${SCENARIOS}) that are told to form without each other never lead to two clusters`, async () => {
  let without = 0;
  const seeds = Array.from({ length: SCENARIOS }, (_, index) => index + 1);
  await Promise.all(
    seeds.map(async (seed) => {
      const nodes = await playHalves(seed);
      const founded = nodes.flatMap(({ outcome }) =>
        outcome === undefined || outcome instanceof FlotillaError ? [] : [outcome],
      );
      assert.ok(new Set(founded.map(({ clusterId }) => clusterId)).size <= 1, `seed ${seed}: two clusters were formed`);
      if (founded.some(({ membership }) => membership.voters.length < nodes.length)) without++;
    }),
  );
  assert.ok(without > SCENARIOS / 10, `too little happened: ${without} clusters were formed without somebody`);
});
