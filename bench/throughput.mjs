// Usage: npm run setup && node bench/throughput.mjs
// Three replicas on loopback, fsync before acknowledging, 128-byte payloads, one client: events acknowledged per second
// and latency with one, 16 and 2,000 awaiting producers, then in batches of 64 KiB, then consumed from the start. One
// JSON object a line. Before it measures it awaits WARM_UP_ENTRIES events one by one: until then V8 runs much of the
// nodes' code interpreted, and one in flight takes two to three times as long as it does for the rest of a node's life.
// The warm-up's own figure is printed too. The machine's speed drifts: compare only with what was measured in turn with
// it.
import { FlotillaClient } from '../dist/src/client/index.js';
import { startCluster } from './cluster.mjs';

const payload = Buffer.alloc(128, 65);
const NAMESPACES = Array.from({ length: 10 }, (_, n) => `/s/a/${n}`);
/** About 64 KiB of encoded batch. */
const BATCH_EVENTS = 480;
const seconds = Number(process.env.BENCH_SECONDS ?? 3);

/** Log entries after which latency no longer falls. */
const WARM_UP_ENTRIES = 6000;

let produced = 0;
const event = () => ({ namespace: NAMESPACES[produced++ % NAMESPACES.length], data: payload });

/** `until`: given the milliseconds since the start and the number of calls, whether it is over. */
async function inFlight(label, concurrency, until, eventsPerCall, call) {
  const latencies = [];
  const start = performance.now();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (!until(performance.now() - start, latencies.length)) {
        const sent = performance.now();
        await call();
        latencies.push(performance.now() - sent);
      }
    }),
  );
  const elapsed = (performance.now() - start) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (quantile) => Number((latencies[Math.floor(latencies.length * quantile)] ?? Number.NaN).toFixed(2));
  print({
    flotilla: label,
    inFlight: concurrency,
    eventsPerSecond: Math.round((latencies.length * eventsPerCall) / elapsed),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  });
}

async function consume(client, total) {
  let seen = 0;
  const start = performance.now();
  for await (const events of client.readBatches({ consistency: 'confirmed' })) seen += events.length;
  if (seen !== total) throw new Error(`${seen} events came back of ${total}`);
  print({ flotilla: 'consume', consumedPerSecond: Math.round((seen / (performance.now() - start)) * 1000) });
}

const after = (duration) => (elapsedMs) => elapsedMs >= duration * 1000;

const print = (row) => process.stdout.write(`${JSON.stringify(row)}\n`);

const cluster = await startCluster();
try {
  const client = new FlotillaClient({ hosts: cluster.hosts });
  const produceOne = () => client.produce(event());
  await inFlight('warm-up', 1, (_elapsedMs, calls) => calls >= WARM_UP_ENTRIES, 1, produceOne);
  await inFlight('await produce(one event)', 1, after(seconds), 1, produceOne);
  await inFlight('await produce(one event)', 16, after(seconds), 1, produceOne);
  await inFlight('await produce(one event)', 2000, after(seconds * 2), 1, produceOne);
  await inFlight('batches of 64 KiB', 8, after(seconds * 2), BATCH_EVENTS, () =>
    client.append(Array.from({ length: BATCH_EVENTS }, event)),
  );
  await consume(client, produced);
  await client.close();
} finally {
  await cluster.stop();
}
