// Usage: npm run setup && node bench/failover.mjs [ROUNDS]
// Three replicas on loopback under eight writers that await each receipt. So many times (default 20) the leader gets
// SIGKILL, then as many times SIGTERM, and is started again. One JSON object a line:
//   nextMs   from the signal to the first receipt of a write that was sent after it
//   gapMs    the longest time without any receipt, from the signal until the next leader has taken in 200 events
//   beforeMs the same for the second before the signal: what the machine does to such a figure without any fault
// The load average stands beside the summary: on a machine that is busy with other things these figures say little.
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlotillaClient } from '../dist/src/client/index.js';
import { startCluster, untilReady } from './cluster.mjs';

const ROUNDS = Number(process.argv[2] ?? process.env.BENCH_ROUNDS ?? 20);
const PORT_BASE = Number(process.env.BENCH_PORT ?? 7300);
const WRITERS = 8;
const EVENTS_AFTERWARDS = 200;
const QUIET_MS = 1000;
const POLL_MS = 20;
const payload = Buffer.alloc(128, 65);

const print = (row) => process.stdout.write(`${JSON.stringify(row)}\n`);
const round1 = (number) => Math.round(number * 10) / 10;

/** Writers without end, and when each receipt came for a write that was sent when. */
class Writers {
  receipts = [];
  stopped = false;

  constructor(client) {
    this.client = client;
    this.working = Promise.all(Array.from({ length: WRITERS }, () => this.work()));
  }

  async write() {
    const sentMs = performance.now();
    await this.client.produce({ namespace: '/failover', data: payload });
    this.receipts.push({ sentMs, atMs: performance.now() });
  }

  async work() {
    while (!this.stopped) await this.write();
  }

  begin() {
    this.receipts = [];
  }

  /** The longest time without a receipt since `sinceMs`. */
  gapSince(sinceMs) {
    let lastMs = sinceMs;
    let longestMs = 0;
    for (const { atMs } of this.receipts) {
      longestMs = Math.max(longestMs, atMs - lastMs);
      lastMs = Math.max(lastMs, atMs);
    }
    return longestMs;
  }

  async stop() {
    this.stopped = true;
    await this.working;
  }
}

async function leaderOf(client) {
  for (;;) {
    const leader = (await client.status()).find(({ role }) => role === 'leader');
    if (leader !== undefined) return leader.actorId - 1;
    await sleep(POLL_MS);
  }
}

async function round(cluster, client, writers, signal) {
  const position = await leaderOf(client);
  writers.begin();
  const quietMs = performance.now();
  await sleep(QUIET_MS);
  const beforeMs = writers.gapSince(quietMs);
  writers.begin();
  const ended = once(cluster.children[position], 'exit');
  cluster.children[position].kill(signal);
  const signalMs = performance.now();
  // All others may be waiting for the receipts of what they had sent: this one is sent now.
  await Promise.all([ended, writers.write()]);
  const goal = writers.receipts.length + EVENTS_AFTERWARDS;
  while (writers.receipts.length < goal) await sleep(POLL_MS);
  const next = writers.receipts.find(({ sentMs }) => sentMs >= signalMs);
  const figures = {
    nextMs: round1(next.atMs - signalMs),
    gapMs: round1(writers.gapSince(signalMs)),
    beforeMs: round1(beforeMs),
  };
  cluster.restart(position);
  await untilReady(PORT_BASE + position + 1000);
  while ((await client.status()).some(({ reachable, role, lag }) => !reachable || role === undefined || lag > 1000))
    await sleep(POLL_MS);
  return figures;
}

function summary(signal, rounds) {
  const of = (name) => {
    const sorted = rounds.map((figures) => figures[name]).sort((a, b) => a - b);
    return { median: sorted[Math.floor(sorted.length / 2)], max: sorted.at(-1) };
  };
  print({
    failover: `${signal}, all rounds`,
    rounds: rounds.length,
    nextMs: of('nextMs'),
    gapMs: of('gapMs'),
    beforeMs: of('beforeMs'),
    load: loadavg().map(round1),
  });
}

const cluster = await startCluster({ portBase: PORT_BASE });
try {
  const client = new FlotillaClient({ hosts: cluster.hosts });
  const writers = new Writers(client);
  for (const signal of ['SIGKILL', 'SIGTERM']) {
    const rounds = [];
    while (rounds.length < ROUNDS) {
      rounds.push(await round(cluster, client, writers, signal));
      print({ failover: signal, round: rounds.length, ...rounds.at(-1) });
    }
    summary(signal, rounds);
  }
  await writers.stop();
  await client.close();
} finally {
  await cluster.stop();
}
