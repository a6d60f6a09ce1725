// Usage: npm run setup && node bench/large-log.mjs [MILLIONS] [-- SERVER ARGUMENTS]
// One node with a long log of events of 128 bytes of JSON, hardly two of them alike, in batches of 64 KiB: how fast it
// takes them in at the begin and at the end, how soon it is ready again after SIGTERM and after SIGKILL, how fast it
// gives them out (all of them, the newest ten, the first of a time, single ones), how soon half of them are gone from
// the disk (and, after that, how soon a copy of that half is gone with plain rm: file systems differ much in it), and
// the most that it takes in memory meanwhile. One JSON object a line. The folder is removed.
import { execFile, spawn } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FlotillaClient } from '../dist/src/client/index.js';
import { untilReady } from './cluster.mjs';

const COMMAND = fileURLToPath(new URL('../cli/flotilla.cjs', import.meta.url));
const PORT = 7300;
const MILLION = 1_000_000;
const BATCH_EVENTS = 480;
const IN_FLIGHT = 8;

const separator = process.argv.indexOf('--');
const millions = Number(process.argv[2] ?? 10);
const serverArguments = separator < 0 ? [] : process.argv.slice(separator + 1);

const directory = await mkdtemp(join(tmpdir(), 'flotilla-large-log-'));
const SEGMENTS = join(directory, 'node-1', 'groups', '1', 'segments');
const ORDERS = Array.from({ length: 100_000 }, order);
const NAMESPACES = Array.from({ length: 100 }, (_, n) => `/s/a/${n}`);
const print = (row) => process.stdout.write(`${JSON.stringify(row)}\n`);
const run = promisify(execFile);
const secondsSince = (start) => Number(((performance.now() - start) / 1000).toFixed(2));
const client = new FlotillaClient({ hosts: `127.0.0.1:${PORT}` });

let child;
/** The most since it was last printed. */
let peak = {};
const sampling = setInterval(() => sample(), 25);
let produced = 0;
/** When each million was complete, from none on. */
const atMillions = [Date.now()];

try {
  await start();
  const speeds = [];
  for (let million = 1; million <= millions; million++) {
    speeds.push(await produceMillion());
    atMillions.push(Date.now());
    print({ event: 'produced', millions: million, perSecond: speeds.at(-1), ...peakMemory() });
  }
  print({
    event: 'produce speed',
    first: speeds[0],
    last: speeds.at(-1),
    ratio: Number((speeds.at(-1) / speeds[0]).toFixed(2)),
  });
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    await stop(signal);
    const readySeconds = await start();
    print({ event: `restarted after ${signal}`, readySeconds, ...peakMemory() });
  }
  await timed('newest ten, backwards', () => take(10, { backwards: true }));
  await timed('ten from the middle, by time', () => take(10, { since: atMillions[Math.floor(millions / 2)] ?? 0 }));
  await timed('ten from the middle, by id', () => take(10, { startAfter: `${Math.floor(produced / 2)}.1` }));
  for (let place = 1; place <= 5; place++)
    await timed('one event', () => client.get(`${Math.floor((produced * place) / 7)}.1`));
  await readAll('all');
  await readAll('all, again');
  await readAll('all, backwards', { backwards: true });
  await dropHalf();
} finally {
  clearInterval(sampling);
  await client.close();
  child.kill('SIGKILL');
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
}

/** Resolves with the seconds until it was ready. */
async function start() {
  const log = openSync(join(directory, 'node.log'), 'a');
  const begun = performance.now();
  child = spawn(process.execPath, [COMMAND, '-d', directory, '-p', String(PORT), ...serverArguments], {
    stdio: ['ignore', log, log],
  });
  await untilReady(PORT + 1000, 120_000);
  return secondsSince(begun);
}

async function stop(signal) {
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

async function produceMillion() {
  const goal = produced + MILLION;
  const begun = performance.now();
  const before = produced;
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (produced < goal) {
        const first = produced;
        produced += BATCH_EVENTS;
        const events = Array.from({ length: BATCH_EVENTS }, (_, n) => ({
          namespace: NAMESPACES[(first + n) % 100],
          data: ORDERS[(first + n) % ORDERS.length],
        }));
        await client.append(events);
      }
    }),
  );
  return Math.round((produced - before) / ((performance.now() - begun) / 1000));
}

/** Ids at random, and fields from small sets, as in most people's events: it can be compressed about as well. */
function order() {
  const id = randomUUID();
  const fields = {
    order: id,
    customer: randomInt(1e6),
    sku: `A-${randomInt(1e4)}`,
    quantity: 1 + randomInt(9),
    status: 'placed',
  };
  return Buffer.from(JSON.stringify(fields).padEnd(128));
}

async function take(limit, options) {
  let seen = 0;
  for await (const _event of client.read({ ...options, limit })) seen++;
  if (seen !== limit) throw new Error(`${seen} events came of ${limit}`);
}

async function timed(what, action) {
  const begun = performance.now();
  await action();
  print({ event: what, ms: Math.round(performance.now() - begun), ...peakMemory() });
}

async function readAll(what, options = {}) {
  const begun = performance.now();
  let seen = 0;
  for await (const events of client.readBatches(options)) seen += events.length;
  if (seen !== produced) throw new Error(`${seen} events came of ${produced}`);
  const seconds = secondsSince(begun);
  print({ event: `read ${what}`, seconds, perSecond: Math.round(seen / seconds), ...peakMemory() });
}

/** Until nothing is left of their directories, which go last. */
async function dropHalf() {
  const before = await diskBytes();
  const copy = await copyHalf();
  const segments = await segmentCount();
  const begun = performance.now();
  await client.setStream({ maxEvents: Math.floor(produced / 2) });
  const answeredMs = Math.round(performance.now() - begun);
  while ((await segmentCount()) > segments / 2 + 2) await sleep(5);
  const freedMs = Math.round(performance.now() - begun);
  const plain = performance.now();
  await run('rm', ['-rf', copy]);
  const plainRmMs = Math.round(performance.now() - plain);
  const mebibytes = (bytes) => Math.round(bytes / 2 ** 20);
  print({
    event: 'half dropped',
    answeredMs,
    freedMs,
    plainRmMs,
    beforeMiB: mebibytes(before),
    afterMiB: mebibytes(await diskBytes()),
  });
}

/** A folder with what half of the segments hold. */
async function copyHalf() {
  const names = (await readdir(SEGMENTS)).sort();
  const copy = join(directory, 'copy');
  await mkdir(copy);
  await run('cp', ['-r', ...names.slice(0, names.length / 2).map((name) => join(SEGMENTS, name)), copy]);
  await run('sync');
  return copy;
}

/** Those that are being removed included. */
async function segmentCount() {
  return (await readdir(SEGMENTS)).length;
}

async function diskBytes() {
  const { stdout } = await run('du', ['-sb', directory]).catch((error) => error);
  return Number(stdout.split('\t')[0]);
}

function sample() {
  const now = memory();
  if (!(peak.residentMiB >= now.residentMiB)) peak = now;
}

function peakMemory() {
  sample();
  const most = peak;
  peak = {};
  return most;
}

/** Of the server, where the system tells; mapped are pages of files, which the system takes back when it needs them. */
function memory() {
  try {
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
    const of = (name) => Math.round(Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024);
    return { residentMiB: of('VmRSS'), anonymousMiB: of('RssAnon'), mappedMiB: of('RssFile') };
  } catch {
    return {};
  }
}
