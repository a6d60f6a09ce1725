// Usage: npm run setup && node bench/namespace-read.mjs [EVENTS]
// One node, EVENTS events (default 10 million) of 128 bytes in 100 namespaces, in two shapes: each batch of one
// namespace, and all namespaces within each batch. Then the whole stream and one of the namespaces are read in turn,
// decoded in the client; the first round of each is printed on its own, because it opens what has never been read. One
// JSON object a line; `ratio` is of the medians, `cpuRatio` that of the processor time of node and client.
// BENCH_UNINDEXED=1 measures before all sealed segments have their index, too.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { FlotillaClient } from '../dist/src/client/index.js';
import { untilReady } from './cluster.mjs';

const COMMAND = fileURLToPath(new URL('../cli/flotilla.cjs', import.meta.url));
const EVENTS = Number(process.argv[2] ?? process.env.BENCH_EVENTS ?? 10_000_000);
const PORT = Number(process.env.BENCH_PORT ?? 7500);
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const NAMESPACES = Array.from({ length: 100 }, (_, n) => `/sensors/${String(n).padStart(2, '0')}/readings`);
const BATCH_EVENTS = 480;
const payload = Buffer.alloc(128, 65);

const print = (row) => process.stdout.write(`${JSON.stringify(row)}\n`);
const round = (number, digits = 3) => Number(number.toFixed(digits));
const medianOf = (rows, name) => rows.map((row) => row[name]).sort((a, b) => a - b)[Math.floor(rows.length / 2)];

/** How the n-th batch's events are spread over the namespaces. */
const SHAPES = {
  'one namespace a batch': (batch) => () => NAMESPACES[batch % NAMESPACES.length],
  'all namespaces in each batch': (batch) => (position) =>
    NAMESPACES[(batch * BATCH_EVENTS + position) % NAMESPACES.length],
};

async function startNode(directory) {
  const log = openSync(join(directory, 'node.log'), 'a');
  const child = spawn(process.execPath, [COMMAND, '-d', directory, '-p', String(PORT)], {
    stdio: ['ignore', log, log],
  });
  await untilReady(PORT + 1000);
  return child;
}

async function stopNode(child) {
  child.kill('SIGTERM');
  await once(child, 'exit');
}

async function produce(client, namespaceOf) {
  const start = performance.now();
  const batches = Math.ceil(EVENTS / BATCH_EVENTS);
  let next = 0;
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (next < batches) {
        const namespace = namespaceOf(next++);
        await client.append(
          Array.from({ length: BATCH_EVENTS }, (_, position) => ({ namespace: namespace(position), data: payload })),
        );
      }
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  return { events: batches * BATCH_EVENTS, producedPerSecond: Math.round((batches * BATCH_EVENTS) / seconds) };
}

/** The segments' folders, and what is in them. */
async function segments(directory) {
  const path = join(directory, 'node-1', 'groups', '1', 'segments');
  const found = [];
  for (const name of await readdir(path))
    found.push({ path: join(path, name), files: await readdir(join(path, name)) });
  return found;
}

async function untilIndexed(directory) {
  const start = performance.now();
  for (;;) {
    const lacking = (await segments(directory)).filter(
      ({ files }) => files.includes('footer') && !files.includes('namespaces'),
    );
    if (lacking.length === 0) return round((performance.now() - start) / 1000, 1);
    await sleep(100);
  }
}

async function indexBytes(directory) {
  let bytes = 0;
  for (const { path, files } of await segments(directory)) {
    if (files.includes('namespaces')) bytes += (await stat(join(path, 'namespaces'))).size;
  }
  return bytes;
}

/** Seconds of processor time that the node and this process have used: what a busy machine does not change much. */
function cpuSeconds(child) {
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
  const { user, system } = process.cpuUsage();
  return (Number(fields[11]) + Number(fields[12])) / 100 + (user + system) / 1e6;
}

async function timeRead(client, child, glob) {
  const start = performance.now();
  const cpuStart = cpuSeconds(child);
  let events = 0;
  for await (const batch of client.readBatches({ consistency: 'confirmed', ...(glob === undefined ? {} : { glob }) }))
    events += batch.length;
  return { seconds: (performance.now() - start) / 1000, cpuSeconds: cpuSeconds(child) - cpuStart, events };
}

async function measure(client, child, label, total) {
  const all = [];
  const one = [];
  for (let at = 0; at < ROUNDS; at++) {
    // The namespace first: in the first round everything is cold for it.
    const glob = NAMESPACES[(7 + 13 * at) % NAMESPACES.length];
    const part = await timeRead(client, child, glob);
    const whole = await timeRead(client, child);
    if (whole.events !== total) throw new Error(`${whole.events} events came back of ${total}`);
    if (Math.abs(part.events - total / NAMESPACES.length) > BATCH_EVENTS)
      throw new Error(`${part.events} events of ${glob}`);
    if (at === 0) print({ label, firstRead: true, allSeconds: round(whole.seconds), oneSeconds: round(part.seconds) });
    all.push(whole);
    one.push(part);
  }
  const allSeconds = medianOf(all, 'seconds');
  const oneSeconds = medianOf(one, 'seconds');
  print({
    label,
    allSeconds: round(allSeconds),
    allPerSecond: Math.round(total / allSeconds),
    oneSeconds: round(oneSeconds),
    ratio: round(allSeconds / oneSeconds, 1),
    cpuRatio: round(medianOf(all, 'cpuSeconds') / medianOf(one, 'cpuSeconds'), 1),
    load: round(loadavg()[0], 1),
  });
}

function residentMiB(child) {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024);
}

for (const [label, namespaceOf] of Object.entries(SHAPES)) {
  if (process.env.BENCH_SHAPE !== undefined && !label.startsWith(process.env.BENCH_SHAPE)) continue;
  const directory = await mkdtemp(join(tmpdir(), 'flotilla-bench-'));
  let child = await startNode(directory);
  try {
    const client = new FlotillaClient({ hosts: `127.0.0.1:${PORT}` });
    const { events, producedPerSecond } = await produce(client, namespaceOf);
    print({ label, events, producedPerSecond, peakResidentMiB: residentMiB(child) });
    if (process.env.BENCH_UNINDEXED === '1') await measure(client, child, `${label}, index under way`, events);
    const indexedAfterSeconds = await untilIndexed(directory);
    print({
      label,
      indexedAfterSeconds,
      indexMiB: Math.round((await indexBytes(directory)) / 2 ** 20),
      peakResidentMiB: residentMiB(child),
    });
    await client.close();
    await stopNode(child);
    child = await startNode(directory);
    const again = new FlotillaClient({ hosts: `127.0.0.1:${PORT}` });
    await measure(again, child, `${label}, restarted`, events);
    print({ label, peakResidentMiB: residentMiB(child) });
    await again.close();
    await stopNode(child);
  } finally {
    child.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
