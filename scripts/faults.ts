/**
 * Usage: npm run faults -- KIND [NODES] [ROUNDS], after `npm run setup`
 *
 * kill  SIGKILL of one node at a random moment under load, ROUNDS times (default 200); flotilla verify of its folder
 * each time
 * disk  a small tmpfs that fills under load and is freed, ROUNDS times (default 10), in turn with and without restarts
 * on the full disk,
 * three in a row, and up to the threshold or up to the last byte. Needs root. NODES: 1, 3, or 3-one: one of three has
 * the small disk
 * sync  fdatasync and fsync of one node fail from a random moment on, ROUNDS times (default 10). Needs Debian's
 * fiu-utils
 * slow-sync  every seventh sync of a thread takes 100 to 400 ms longer, for half a minute ROUNDS times (default 10),
 * under load and
 * with a consumer at each node that tails by a glob; before that, which syncs a receipt waits for. Needs Debian's
 * strace
 *
 * Each ends with what the producers were told held against what every node gives out: nothing acknowledged is lost,
 * nothing is there that was refused, and all nodes' dumps are equal. Prints one JSON object a round.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from '../test/support/cluster.js';
import type { ClusterNode } from '../test/support/cluster-node.js';
import { flotilla } from '../test/support/command-process.js';
import { RecordedProducers } from '../test/support/recorded-producers.js';
import { until } from '../test/support/until.js';
import { slowSync } from './faults/slow-sync.js';

/**
 * Size of the small disk, which holds what all the rounds write: where one of three has it, the other two go on taking
 * events while it is full.
 */
const TMPFS_BYTES = { '1': 160 * 2 ** 20, '3': 160 * 2 ** 20, '3-one': 2 ** 30 };
/** What a round leaves free on the small disk before its load begins. */
const ROUND_BYTES = 8 * 2 ** 20;
const WORKERS = 16;
const FIU = '/usr/lib/fiu';
/** A node is started this often, one start after the other, while its disk is full. */
const STARTS_WHILE_FULL = 3;

type Shape = keyof typeof TMPFS_BYTES;

const [kind = '', shapeName = '3', times] = process.argv.slice(2);
const KINDS: Readonly<Record<string, (cluster: Cluster, rounds: number) => Promise<void>>> = {
  kill,
  disk,
  sync,
  'slow-sync': (all, rounds) => slowSync(all, rounds, print),
};
const run = KINDS[kind];
if (run === undefined || !isShape(shapeName)) {
  process.stderr.write(`usage: npm run faults -- ${Object.keys(KINDS).join('|')} [1|3|3-one] [ROUNDS]\n`);
  process.exit(2);
}
const shape: Shape = shapeName;
const nodes = shape.startsWith('1') ? 1 : 3;
const cluster = await Cluster.plan({
  nodes,
  args: ['--segment-bytes', '1MiB', '--election-timeout', '400ms', '--heartbeat-interval', '50ms'],
});
const mounts: string[] = [];
try {
  await run(cluster, Number(times ?? (kind === 'kill' ? 200 : 10)));
} catch (error) {
  process.stderr.write(`${cluster.logs()}\n`);
  throw error;
} finally {
  for (const node of cluster.nodes) await node.kill('SIGKILL');
  for (const path of mounts) execFileSync('umount', [path]);
  await cluster.close();
}
process.exit(0);

function isShape(text: string): text is Shape {
  return Object.hasOwn(TMPFS_BYTES, text);
}

function print(row: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(row)}\n`);
}

function folderOf(node: ClusterNode): string {
  return join(cluster.dataDir, `node-${node.actor}`);
}

function produce(extraBytes: number, pauseMs = 0): RecordedProducers {
  const client = cluster.client({ timeoutMs: 5_000 });
  const metadata = extraBytes === 0 ? {} : { metadata: { filler: 'x'.repeat(extraBytes) } };
  return new RecordedProducers(
    async (event) => {
      try {
        const receipt = await client.produce({ ...event, ...metadata });
        if (pauseMs > 0) await sleep(pauseMs);
        return receipt;
      } catch (error) {
        // A producer that is refused waits a little.
        await sleep(20);
        throw error;
      }
    },
    { workers: WORKERS },
  );
}

/** All nodes run and have caught up: their dumps, held against what the producers were told. */
async function settle(producers: RecordedProducers): Promise<void> {
  await producers.stop();
  for (const node of cluster.nodes) if (!node.running) node.start();
  await cluster.ready();
  const dump = await cluster.equalDumps();
  producers.verify(dump);
  const { acknowledged, refused, unknown } = producers;
  print({
    events: dump.length,
    acknowledged: acknowledged.size,
    refused: refused.size,
    unknown: unknown.size,
    lost: 0,
  });
}

function anyNode(): ClusterNode {
  return cluster.node(1 + Math.floor(Math.random() * cluster.nodes.length));
}

async function verifyFolder(node: ClusterNode): Promise<void> {
  const { code, stdout, stderr } = await flotilla(['verify', '-d', cluster.dataDir, '-A', String(node.actor)]);
  assert.equal(code, 0, `${stdout}${stderr}`);
}

async function kill(_: Cluster, rounds: number): Promise<void> {
  await cluster.start();
  // As fast as they can they would make each verify longer than the one before.
  const producers = produce(1000, 30);
  for (let round = 1; round <= rounds; round++) {
    const node = anyNode();
    await sleep(Math.random() * 600);
    await node.kill('SIGKILL');
    await verifyFolder(node);
    node.start();
    // Also a node that has just begun to start.
    if (Math.random() < 0.8) await cluster.ready();
    if (round % 20 === 0) print({ round, acknowledged: producers.acknowledged.size });
  }
  await cluster.ready();
  await producers.progress(100);
  await settle(producers);
}

async function disk(_: Cluster, rounds: number): Promise<void> {
  const small = shape === '3-one' ? [cluster.node(1)] : cluster.nodes;
  for (const node of small) {
    mkdirSync(folderOf(node), { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${TMPFS_BYTES[shape]}`, 'tmpfs', folderOf(node)]);
    mounts.push(folderOf(node));
  }
  await cluster.start();
  const producers = produce(4000, shape === '3-one' ? 20 : 0);
  await producers.progress(100);
  let ended = 0;
  const startWhatEnded = (): void => {
    for (const node of small.filter(({ running }) => !running)) {
      node.start();
      ended++;
    }
  };
  for (let round = 1; round <= rounds; round++) {
    const toTheLastByte = round % 4 >= 2;
    const restart = round % 2 === 0;
    for (const node of small) writeBallast(node, ROUND_BYTES);
    await until('the small disks are nearly full', async () => (await Promise.all(small.map(isShort))).every(Boolean), {
      timeoutMs: 60_000,
    });
    if (toTheLastByte) for (const node of small) writeBallast(node, 0);
    const before = producers.acknowledged.size;
    await sleep(500);
    if (shape === '3-one') await producers.progress(50);
    for (let start = 1; restart && start <= STARTS_WHILE_FULL; start++) {
      for (const node of small) {
        await node.kill(round % 4 === 0 ? 'SIGTERM' : 'SIGKILL');
        await verifyFolder(node);
        node.start();
      }
      if (Math.random() < 0.7)
        await until('they are ready', async () => (await Promise.all(small.map(isReady))).every(Boolean));
    }
    let lastFailure = '';
    const readable = await until(
      'all can be read',
      async () => {
        startWhatEnded();
        if (!(await Promise.all(cluster.nodes.map(isReady))).every(Boolean)) return false;
        return await Promise.all(small.map(async (node) => (await node.dump()).length)).catch((error: unknown) => {
          lastFailure = String(error);
          return false as const;
        });
      },
      { timeoutMs: 60_000, state: () => lastFailure },
    );
    const whileFull = producers.acknowledged.size - before;
    for (const node of small) rmSync(join(folderOf(node), 'ballast'));
    await until(
      'events are taken again',
      async () => {
        startWhatEnded();
        return producers.acknowledged.size > before + whileFull + 50;
      },
      { timeoutMs: 60_000, state: () => cluster.logs() },
    );
    print({
      round,
      toTheLastByte,
      restart,
      whileFull,
      readable,
      ended,
      acknowledged: producers.acknowledged.size,
      refused: producers.refused.size,
    });
  }
  await settle(producers);
  for (const node of cluster.nodes) await node.kill('SIGTERM');
  for (const node of cluster.nodes) await verifyFolder(node);
}

/** Leaves so much free on the node's disk. */
function writeBallast(node: ClusterNode, freeBytes: number): void {
  const { bavail, bsize } = statfsSync(folderOf(node));
  const bytes = bavail * bsize - freeBytes;
  if (bytes <= 0) return;
  const file = join(folderOf(node), 'ballast');
  try {
    writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
  } catch (error) {
    // The node writes beside this: to the last byte is a race for it.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  }
}

async function isReady(node: ClusterNode): Promise<boolean> {
  return (await node.readiness())?.status === 200;
}

/** Also where it has ended: others may have filled the disk before it looked. */
async function isShort(node: ClusterNode): Promise<boolean> {
  if (!node.running) return true;
  return /^flotilla_disk_room\{state="ample"\} 0$/m.test((await node.http('/metrics'))?.text ?? '');
}

async function sync(_: Cluster, rounds: number): Promise<void> {
  const fifo = join(cluster.dataDir, '..', 'fiu');
  // Not write: with every one failing, Node's own wake-ups between threads fail, too, and it aborts.
  const names = ['posix/io/sync/fdatasync', 'posix/io/sync/fsync', 'posix/io/rw/pwrite'];
  for (const node of cluster.nodes) startFragile(node, fifo);
  await cluster.ready();
  const producers = produce(4000);
  for (let round = 1; round <= rounds; round++) {
    const node = anyNode();
    const name = names[(round - 1) % names.length] ?? '';
    await sleep(Math.random() * 1000);
    execFileSync('fiu-ctrl', ['-f', fifo, '-c', `enable name=${name},failinfo=5`, String(node.pid)]);
    const exit = await node.end();
    assert.deepEqual(exit, { code: 1, signal: null }, `${name}\n${node.lastLogLines()}`);
    await verifyFolder(node);
    print({
      round,
      name,
      exit: exit.code,
      last: node
        .lastLogLines()
        .match(/"reason":"[^"]*"/g)
        ?.at(-1),
      acknowledged: producers.acknowledged.size,
    });
    startFragile(node, fifo);
    await cluster.ready();
    await producers.progress(50);
  }
  await settle(producers);
}

/** With the library that makes calls fail when it is told to. */
function startFragile(node: ClusterNode, fifo: string): void {
  process.env['LD_PRELOAD'] = `${FIU}/fiu_run_preload.so ${FIU}/fiu_posix_preload.so`;
  process.env['FIU_CTRL_FIFO'] = fifo;
  try {
    node.start();
  } finally {
    delete process.env['LD_PRELOAD'];
    delete process.env['FIU_CTRL_FIFO'];
  }
}
