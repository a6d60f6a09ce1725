import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { actorId, FlotillaError, type Member } from '../../src/base/index.js';
import { Formation, type FormationStore, type Founded } from '../../src/peer/index.js';
import { RpcServer } from '../../src/rpc/index.js';
import { NodeKey, proto, SPOKEN_VERSIONS } from '../../src/wire/index.js';
import { freePorts, recordingLogger, silentLogger, until } from './peer-fixture.js';

/** What a data directory keeps, and what a restart finds. */
class MemoryStore {
  identity: FormationStore['identity'] = { bootCounter: 1, boots: ['0'.repeat(16)], secret: NodeKey.generate().secret };
  promises = 0;

  async promise(members: readonly Member[]): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal(this.identity.promised, undefined, 'a promise is never replaced');
    this.promises++;
    this.identity = { ...this.identity, promised: members };
  }
}

interface Founder {
  readonly formation: Formation;
  readonly founded: Promise<Founded>;
  readonly store: MemoryStore;
  stop(): Promise<void>;
}

interface FounderOptions {
  readonly actor: number;
  readonly port: number;
  readonly peers: readonly string[];
  readonly instance?: string;
  readonly store?: MemoryStore;
  readonly advertise?: string;
}

async function start(context: TestContext, options: FounderOptions, logger = silentLogger): Promise<Founder> {
  const store = options.store ?? new MemoryStore();
  const self: Member = {
    actor: actorId(options.actor),
    instance: options.instance ?? randomBytes(16).toString('hex'),
    address: options.advertise ?? `127.0.0.1:${options.port}`,
  };
  const formation = new Formation({
    self,
    versions: () => SPOKEN_VERSIONS,
    store,
    peerAddresses: options.peers,
    logger,
  });
  const server = new RpcServer({ onInternalError: (error) => assert.fail(String(error)) });
  const missing = (): Promise<never> => Promise.reject(new FlotillaError('NOT_READY', 'not in this test'));
  server.add(proto.PeerServiceDefinition, {
    introduce: (request) => formation.introduce(request),
    join: () => Promise.reject(new FlotillaError('FOREIGN_NODE', 'nobody joins in this test')),
    deliver: missing,
    forward: missing,
    fetchRecords: missing,
  });
  await server.listen('127.0.0.1', options.port);
  const controller = new AbortController();
  const founded = formation.form(controller.signal);
  founded.catch(() => undefined);
  const stop = async (): Promise<void> => {
    controller.abort();
    await founded.catch(() => undefined);
    await server.close(0);
  };
  context.after(stop);
  return { formation, founded, store, stop };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function clusterOf(founders: readonly Founder[]): Promise<Founded> {
  const all = await Promise.all(founders.map(({ founded }) => founded));
  const [first] = all;
  assert.ok(first !== undefined);
  for (const founded of all) assert.deepEqual(founded, first);
  assert.match(first.clusterId, /^[0-9a-f]{32}$/);
  return first;
}

test('a node without peers is a cluster of one at once', async (context) => {
  const [port = 0] = await freePorts(1);
  const founded = await clusterOf([await start(context, { actor: 7, port, peers: [] })]);
  assert.deepEqual(founded.membership.voters, [7]);
});

test('three nodes form one cluster in any order, however their lists spell the addresses', async (context) => {
  const [p1 = 0, p2 = 0, p3 = 0] = await freePorts(3);
  const lists = [
    [`localhost:${p2}`, `127.0.0.1:${p3}`],
    [`127.0.0.1:${p1}`, `localhost:${p3}`],
    [`localhost:${p1}`, `127.0.0.1:${p2}`],
  ];
  const founders: Founder[] = [];
  for (const index of [2, 0, 1]) {
    founders.push(
      await start(context, { actor: index + 1, port: [p1, p2, p3][index] ?? 0, peers: lists[index] ?? [] }),
    );
    await pause(60);
  }
  const { membership, members } = await clusterOf(founders);
  assert.deepEqual(membership.voters, [1, 2, 3]);
  assert.deepEqual(
    members.map(({ address }) => address),
    [p1, p2, p3].map((port) => `127.0.0.1:${port}`),
  );
});

test('lists that name the node itself, and one node twice, are fine', async (context) => {
  const [p1 = 0, p2 = 0] = await freePorts(2);
  const all = [`127.0.0.1:${p1}`, `localhost:${p1}`, `127.0.0.1:${p2}`, `localhost:${p2}`];
  const { membership } = await clusterOf([
    await start(context, { actor: 1, port: p1, peers: all }),
    await start(context, { actor: 2, port: p2, peers: all }),
  ]);
  assert.deepEqual(membership.voters, [1, 2]);
});

test('partial lists are closed over all of them', async (context) => {
  const [p1 = 0, p2 = 0, p3 = 0] = await freePorts(3);
  const founders = await Promise.all([
    start(context, { actor: 1, port: p1, peers: [`127.0.0.1:${p2}`] }),
    start(context, { actor: 2, port: p2, peers: [`127.0.0.1:${p3}`] }),
    start(context, { actor: 3, port: p3, peers: [`127.0.0.1:${p1}`] }),
  ]);
  assert.deepEqual((await clusterOf(founders)).membership.voters, [1, 2, 3]);
});

test('nodes that name only one member are taken in while the cluster is forming', async (context) => {
  const [p1 = 0, p2 = 0, p3 = 0] = await freePorts(3);
  // Node 1 waits for node 2, so node 3 has introduced itself long before any node can promise.
  const one = await start(context, { actor: 1, port: p1, peers: [`127.0.0.1:${p2}`] });
  const three = await start(context, { actor: 3, port: p3, peers: [`127.0.0.1:${p1}`] });
  await pause(500);
  const two = await start(context, { actor: 2, port: p2, peers: [`127.0.0.1:${p1}`] });
  assert.deepEqual((await clusterOf([one, two, three])).membership.voters, [1, 2, 3]);
});

test('with one founder missing no node promises, and each names the missing one', async (context) => {
  const [p1 = 0, p2 = 0, p3 = 0] = await freePorts(3);
  const { logger, lines } = recordingLogger('info');
  const one = await start(context, { actor: 1, port: p1, peers: [`127.0.0.1:${p2}`, `127.0.0.1:${p3}`] }, logger);
  const two = await start(context, { actor: 2, port: p2, peers: [`127.0.0.1:${p1}`, `127.0.0.1:${p3}`] });
  for (const { formation } of [one, two]) {
    await until(
      () => formation.waitingFor.some((sentence) => sentence.includes(`:${p3}`)),
      'the missing address is named',
    );
  }
  await pause(500);
  assert.equal(one.store.promises + two.store.promises, 0);
  assert.ok(lines.length >= 1 && lines.length < 8, `${lines.length} lines while nothing changed`);
  const three = await start(context, { actor: 3, port: p3, peers: [`127.0.0.1:${p1}`] });
  await clusterOf([one, two, three]);
  assert.deepEqual(one.formation.waitingFor, []);
});

test('a founder that stopped after its promise recognises itself later', async (context) => {
  const [p1 = 0, p2 = 0] = await freePorts(2);
  const instance = randomBytes(16).toString('hex');
  const store = new MemoryStore();
  const one = await start(context, { actor: 1, port: p1, peers: [`127.0.0.1:${p2}`] });
  const two = await start(context, { actor: 2, port: p2, peers: [`127.0.0.1:${p1}`], instance, store });
  await until(() => store.promises === 1, 'node 2 has promised');
  // Node 1 may or may not have seen the promise by now; both must end well.
  await two.stop();
  await pause(300);
  const again = await start(context, { actor: 2, port: p2, peers: [`127.0.0.1:${p1}`], instance, store });
  await clusterOf([one, again]);
  assert.equal(store.promises, 1);
});

test('a restart after founding is the same cluster, without asking another node', async (context) => {
  const [p1 = 0, p2 = 0] = await freePorts(2);
  const instance = randomBytes(16).toString('hex');
  const store = new MemoryStore();
  const one = await start(context, { actor: 1, port: p1, peers: [`127.0.0.1:${p2}`], instance, store });
  const two = await start(context, { actor: 2, port: p2, peers: [`127.0.0.1:${p1}`] });
  const founded = await clusterOf([one, two]);
  await one.stop();
  await two.stop();
  store.identity = { ...store.identity, clusterId: founded.clusterId };
  const again = await start(context, { actor: 1, port: p1, peers: [`127.0.0.1:${p2}`], instance, store });
  assert.deepEqual(await again.founded, founded);
});

test('an actor id that is used twice is refused, and both addresses are named', async (context) => {
  const [p1 = 0, p2 = 0] = await freePorts(2);
  const one = await start(context, { actor: 1, port: p1, peers: [`127.0.0.1:${p2}`] });
  const two = await start(context, { actor: 1, port: p2, peers: [`127.0.0.1:${p1}`] });
  for (const { founded } of [one, two]) {
    await assert.rejects(founded, (error) => {
      assert.ok(error instanceof FlotillaError && error.code === 'FOREIGN_NODE');
      for (const port of [p1, p2]) assert.ok(error.message.includes(`127.0.0.1:${port}`), error.message);
      return true;
    });
  }
});

test('a node that asks to join goes on waiting where the answers prove nothing', async (context) => {
  const [p1 = 0, p2 = 0] = await freePorts(2);
  await clusterOf([await start(context, { actor: 1, port: p1, peers: [] })]);
  const stranger = await start(context, { actor: 2, port: p2, peers: [`127.0.0.1:${p1}`] });
  await until(
    () =>
      stranger.formation.waitingFor.some((reason) =>
        /does not prove that it is actor 1.*nobody joins in this test/.test(reason),
      ),
    'it says why it waits',
  );
});

test('a member with another data directory is refused', async (context) => {
  const [p1 = 0, p2 = 0] = await freePorts(2);
  const one = await start(context, { actor: 1, port: p1, peers: [`127.0.0.1:${p2}`] });
  const two = await start(context, { actor: 2, port: p2, peers: [`127.0.0.1:${p1}`] });
  await clusterOf([one, two]);
  await two.stop();
  const wiped = await start(context, { actor: 2, port: p2, peers: [`127.0.0.1:${p1}`] });
  await assert.rejects(wiped.founded, { code: 'FOREIGN_NODE', message: /actor id 2 is taken/ });
});

test('peers of two clusters are refused', async (context) => {
  const [p1 = 0, p2 = 0, p3 = 0] = await freePorts(3);
  await clusterOf([await start(context, { actor: 1, port: p1, peers: [] })]);
  await clusterOf([await start(context, { actor: 2, port: p2, peers: [] })]);
  const third = await start(context, { actor: 3, port: p3, peers: [`127.0.0.1:${p1}`, `127.0.0.1:${p2}`] });
  await assert.rejects(third.founded, { code: 'FOREIGN_NODE', message: /different clusters/ });
});

test('abort ends the forming', async (context) => {
  const [p1 = 0, p2 = 0] = await freePorts(2);
  const one = await start(context, { actor: 1, port: p1, peers: [`127.0.0.1:${p2}`] });
  await one.stop();
  await assert.rejects(one.founded, { code: 'CANCELLED' });
});
