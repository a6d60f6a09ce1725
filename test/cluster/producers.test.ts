import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { FlotillaClient, Producer } from '../../src/client/index.js';
import { AnswerDropper } from '../support/answer-dropper.js';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import { startFlotilla } from '../support/command-process.js';
import { RecordedProducers } from '../support/recorded-producers.js';
import { until } from '../support/until.js';

const WORKERS = 4;
/** How often the leader is killed; PRODUCER_KILLS=10 is for longer runs. */
const KILLS = Number(process.env['PRODUCER_KILLS'] ?? 2);
const DIAL_THROUGH = fileURLToPath(new URL('../support/dial-through.cjs', import.meta.url));

test(
  'a process that produces without asking for anything: leaders are killed, every third answer is lost, and each ' +
    'event is there once',
  withReadyCluster({}, async (cluster, context) => {
    const droppers = await Promise.all(cluster.nodes.map(({ port }) => AnswerDropper.to(port, { every: 3 })));
    context.after(() => Promise.all(droppers.map((dropper) => dropper.close())));
    const through = Object.fromEntries(cluster.nodes.map(({ port }, at) => [port, droppers[at]?.port]));
    const hosts = cluster.nodes.map(({ address }) => address).join(',');
    const command = startFlotilla(['produce', '-n', '/once', '--stdin', '-H', hosts], {
      env: { NODE_OPTIONS: `--require ${DIAL_THROUGH}`, DIAL_THROUGH: JSON.stringify(through) },
    });
    let sent = 0;
    const send = async (lines: number): Promise<void> => {
      // A few at a time, so that many batches are under way.
      for (const end = sent + lines; sent < end; ) {
        for (let line = 0; line < 10; line++) command.write(`line ${sent++}\n`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const printed = (): string[] => command.stdout.split('\n').filter((line) => /^\d{25}$/.test(line));
    const progress = (): Promise<unknown> =>
      until(`${sent} ids are printed`, () => printed().length === sent, {
        state: () => `${printed().length}; ${command.stderr}`,
      });
    await send(300);
    await progress();
    for (let kill = 0; kill < KILLS; kill++) {
      const leader = await cluster.leader();
      await send(200);
      await leader.kill('SIGKILL');
      await send(200);
      await progress();
      leader.start();
      await cluster.ready();
    }
    command.endInput();
    const { code, stderr } = await command.result();
    assert.equal(code, 0, stderr);
    const dropped = droppers.reduce((sum, dropper) => sum + dropper.dropped, 0);
    context.diagnostic(`${sent} events, ${dropped} answers lost`);
    assert.ok(dropped > KILLS, `${dropped} answers were lost`);
    const dump = await cluster.equalDumps();
    assert.deepEqual(
      dump.map(({ id, data }) => `${id} ${data}`),
      printed().map((id, line) => `${id} line ${line}`),
    );
  }),
);

test(
  'named producers: the leader is killed, and then all nodes are, and every event is there once, at the id that ' +
    'was told',
  withReadyCluster({}, async (cluster) => {
    const client = cluster.client();
    const idle: Producer[] = [];
    for (let made = 0; made < WORKERS; made++) idle.push(await client.openProducer(`worker-${made}`));
    const producers = new RecordedProducers((event) => appendBy(idle, event), { workers: WORKERS });
    await producers.progress(40);
    for (let kill = 0; kill < 2; kill++) {
      const leader = await cluster.leader();
      await leader.kill('SIGKILL');
      await producers.progress(WORKERS + 1);
      leader.start();
      await cluster.ready();
      await producers.progress(20);
    }
    await Promise.all(cluster.nodes.map((node) => node.kill('SIGKILL')));
    for (const node of cluster.nodes) node.start();
    await cluster.ready();
    await producers.progress(20);
    await producers.stop();
    assert.equal(producers.refused.size + producers.unknown.size, 0);
    const dump = await cluster.equalDumps();
    producers.verify(dump);
    assert.equal(dump.length, producers.acknowledged.size, 'nothing is there twice');
  }),
);

test(
  'who opens a name goes on where the last left off, through any node, and the last may append no more',
  withReadyCluster({}, async (cluster) => {
    const [one, other] = [clientOf(cluster, 1), clientOf(cluster, 2)];
    const before = await one.openProducer('import-2026');
    for (const data of ['a', 'b']) await before.append([{ namespace: '/n', data }]);
    const after = await other.openProducer('import-2026');
    assert.equal(after.lastSequence, 2);
    await assert.rejects(before.append([{ namespace: '/n', data: 'c' }]), { code: 'PRODUCER_FENCED' });
    await after.append([{ namespace: '/n', data: 'd' }]);
    const events = (await cluster.equalDumps()).map(({ data }) => data);
    assert.deepEqual(events, ['a', 'b', 'd']);
    await assert.rejects(one.openProducer('no/name'), {
      code: 'INVALID_ARGUMENT',
      message: /name: "no\/name" is not a producer name/,
    });
  }),
);

test(
  'over plain gRPC: a stamp is refused where it makes no sense, with the field, and answered with the first ids ' +
    'where it does',
  withReadyCluster({}, async (cluster) => {
    const [client, opened] = [cluster.node(1).connect(), await openAtLeader(cluster)];
    const append = async (producer: Partial<Stamp>, data = 'x'): Promise<string> => {
      const events = [
        { namespace: '/n', data: Buffer.from(data), parentId: '', type: '', contentType: '', metadata: new Map() },
      ];
      const stamp = { ...opened, sequence: 1, firstSentMsAgo: 0, bornAfter: 0, ...producer };
      const { receipt } = await client.unary('append', { stream: '', events, packed: undefined, producer: stamp });
      return receipt?.firstId ?? '';
    };
    const id = await append({});
    assert.equal(await append({}), id);
    for (const [stamp, code, message] of [
      [{ producerId: 0 }, 'INVALID_ARGUMENT', /producer\.producer_id: is missing/],
      [{ epoch: 0 }, 'INVALID_ARGUMENT', /producer\.epoch: is missing/],
      [{ sequence: 0 }, 'INVALID_ARGUMENT', /producer\.sequence: is missing/],
      [{ epoch: 3 }, 'INVALID_ARGUMENT', /producer\.epoch: .* has epoch 2, not 3/],
      [{ sequence: 3 }, 'SEQUENCE_GAP', /3 does not follow 1/],
      [{ sequence: Number.MAX_SAFE_INTEGER }, 'SEQUENCE_GAP', /does not follow 1/],
      [{ producerId: 7 }, 'PRODUCER_EXPIRED', /does not know producer 7/],
      [{ incarnation: 'f'.repeat(32) }, 'POSITION_MISMATCH', /producer\.incarnation: the stream's is/],
    ] as const)
      await assert.rejects(append(stamp), { code, message }, JSON.stringify(stamp));
    await assert.rejects(append({}, 'other'), { code: 'SEQUENCE_REUSED' });
    client.close();
    assert.equal((await cluster.equalDumps()).length, 1);
  }),
);

test(
  'the example of docs/producing.md may be run again and again',
  withReadyCluster({}, async (cluster) => {
    const doc = await readFile(new URL('../../docs/producing.md', import.meta.url), 'utf8');
    const program = /```js\n(.*?)```/s.exec(doc)?.[1] ?? '';
    const library = new URL('../../dist/src/client/index.js', import.meta.url).href;
    const text = program
      .replace("'flotilla/client'", `'${library}'`)
      .replace('localhost:3000', cluster.node(3).address);
    for (let run = 1; run <= 2; run++) {
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', text]);
      assert.equal(stdout, '3 batches are there\n', `run ${run}`);
    }
    assert.deepEqual(
      (await cluster.equalDumps()).map(({ data }) => data),
      ['first', 'second', 'third'],
    );
  }),
);

interface Stamp {
  readonly incarnation: string;
  readonly producerId: number;
  readonly epoch: number;
  readonly sequence: number;
}

/** Produces by a producer that has nothing under way; there is one for each worker. */
async function appendBy(
  idle: Producer[],
  event: Parameters<FlotillaClient['produce']>[0],
): ReturnType<FlotillaClient['produce']> {
  const producer = idle.pop();
  assert.ok(producer !== undefined, 'a worker has a producer');
  try {
    return await producer.append([event]);
  } finally {
    idle.push(producer);
  }
}

function clientOf(cluster: Cluster, actor: number): FlotillaClient {
  return cluster.client({ hosts: cluster.node(actor).address });
}

async function openAtLeader(cluster: Cluster): Promise<Stamp> {
  const client = (await cluster.leader()).connect();
  const { producerId, epoch, incarnation } = await client.unary('openProducer', { stream: '', name: 'over-grpc' });
  client.close();
  return { producerId, epoch, incarnation, sequence: 0 };
}
