/** What a client gives up is gone: connections, timers and listeners, on both sides, and the memory that they took. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { afterEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { LIMITS } from '../../src/base/index.js';
import { type Event, FlotillaClient, type FlotillaError } from '../../src/client/index.js';
import { packBody } from '../../src/wire/index.js';
import { FakeLog, FakeNode } from '../support/fake-node.js';
import { held, untilReleased } from '../support/held.js';
import { until } from '../support/until.js';

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startNode(events = 3): Promise<FakeNode> {
  const log = new FakeLog();
  for (let position = 0; position < events; position++)
    log.append(packBody([{ namespace: '/a', data: Buffer.from('1') }]), 1);
  const node = await new FakeNode(1, log).start();
  cleanups.push(() => node.kill());
  return node;
}

/** Tails that have read what there is and wait for more. */
async function startTails(client: FlotillaClient, count: number): Promise<Promise<unknown>[]> {
  const tails = Array.from({ length: count }, () => client.tail({ startAfter: '2.1' }));
  for (const tail of tails) await tail.next();
  return tails.map((tail) => tail.next().catch((error: FlotillaError) => error.code));
}

test('many tails and a producer over an outage leave nothing behind when the client is closed', async () => {
  const node = await startNode();
  const before = held();
  const client = new FlotillaClient({ hosts: node.address });
  const tails = await startTails(client, 20);
  await client.produce({ namespace: '/a' });
  const standing = held();
  let attempts = 0;
  const read = client.tail({ onReconnect: () => attempts++ });
  for (let counter = 1; counter <= 4; counter++) await read.next();
  const waiting = read.next();
  const { port } = node;
  await node.kill();
  const appended = client.produce({ namespace: '/a' });
  await until('each has tried some times', () => attempts >= 5);
  await node.start(port);
  assert.equal((await waiting).value?.counter, 5);
  await appended;
  // None of the attempts that were given up is there beside those that succeeded.
  const again = {
    ...standing,
    sockets: (standing['sockets'] ?? 0) + 2,
    TCPSocketWrap: (standing['TCPSocketWrap'] ?? 0) + 2,
  };
  await untilReleased(again);
  await Promise.all([client.close(), read.return()]);
  await Promise.all(tails);
  await untilReleased(before);
});

test('a client that is closed in the middle of an outage is gone, and stays so when the node is back', async () => {
  const node = await startNode();
  const client = new FlotillaClient({ hosts: node.address });
  const tails = await startTails(client, 20);
  const { port } = node;
  await node.kill();
  const before = held();
  const reads = node.reads.length;
  await client.close();
  assert.deepEqual(new Set(await Promise.all(tails)), new Set(['CANCELLED']));
  await untilReleased(before);
  await node.start(port);
  await untilReleased({
    ...before,
    TCPServerWrap: (before['TCPServerWrap'] ?? 0) + 1,
    sockets: (before['sockets'] ?? 0) + 1,
  });
  assert.equal(node.reads.length, reads);
});

test('the signal of a program has no listener any more, however a read ends', async () => {
  const node = await startNode();
  const client = new FlotillaClient({ hosts: node.address, connectTimeoutMs: 200 });
  cleanups.push(() => client.close());
  const program = new AbortController();
  const { signal } = program;
  const listeners = (): number => getEventListeners(signal, 'abort').length;
  for await (const event of client.read({ signal })) assert.equal(event.namespace, '/a');
  for await (const event of client.tail({ signal })) if (event.counter === 2) break;
  await client
    .readBatches({ signal })
    .next()
    .then(() => undefined);
  const left = client.readBatches({ signal });
  await left.next();
  await left.return();
  await assert.rejects(client.read({ signal, glob: '/foo**' }).next());
  await assert.rejects(client.namespaces('/foo**', { signal }).next());
  client.tail({ signal });
  // Only the one of these that was neither read to its end nor left.
  await until('they are gone', () => listeners() === 1);
  await client.close();
  await until('that one is gone with its client', () => listeners() === 0);
  await node.kill();
  const other = new FlotillaClient({ hosts: node.address, connectTimeoutMs: 200 });
  await assert.rejects(other.read({ signal }).next(), { code: 'UNREACHABLE' });
  await other.close();
  assert.equal(listeners(), 0);
});

/** A thousand in longer runs: LEAK_ROUNDS=1000. */
const ROUNDS = Number(process.env['LEAK_ROUNDS'] ?? 100);
/** What one call may leave in the heap, on average: less than a client or a connection takes. */
const LEFT_BYTES_MAX = 4096;

const BATCHES = 5000;
/** For a batch: less than the smallest of the objects that stand for it while it is under way. */
const BATCH_LEFT_BYTES_MAX = 48;

test('tens of thousands of batches of one producer leave no memory that grows', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const node = await startNode(0);
  const client = new FlotillaClient({ hosts: node.address });
  cleanups.push(() => client.close());
  const heapAfter = async (): Promise<number> => {
    for (let sent = 0; sent < BATCHES; sent += LIMITS.clientBatchesInFlight) {
      const calls: Promise<unknown>[] = [];
      for (let batch = 0; batch < LIMITS.clientBatchesInFlight; batch++) {
        calls.push(client.produce({ namespace: '/a', data: 'b' }));
        // What is produced in one turn is one batch; at times two turns are one.
        await turn();
      }
      await Promise.all(calls);
    }
    assert.ok(node.received.length > BATCHES / 2, `${node.received.length} batches`);
    // The fake's own record of them.
    node.received.length = 0;
    node.log.batches.length = 0;
    node.log.forget();
    collect();
    return process.memoryUsage().heapUsed;
  };
  let left = Number.POSITIVE_INFINITY;
  let before = await heapAfter();
  for (let measured = 0; measured < 5 && left > BATCH_LEFT_BYTES_MAX; measured++) {
    const after = await heapAfter();
    left = (after - before) / BATCHES;
    before = after;
  }
  assert.ok(left <= BATCH_LEFT_BYTES_MAX, `each batch leaves ${left} bytes`);
});

test('hundreds of each kind of call leave no handle, and no memory that grows', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const node = await startNode(8);
  node.batchesPerMessage = 1;
  const lasting = new FlotillaClient({ hosts: node.address });
  cleanups.push(() => lasting.close());
  const { signal } = new AbortController();
  const calls: Record<string, () => Promise<unknown>> = {
    'a client that is opened and closed': async () => {
      const client = new FlotillaClient({ hosts: node.address });
      await client.status();
      await client.close();
    },
    'a read that is aborted': async () => {
      const stop = new AbortController();
      const read = lasting.tail({ signal: stop.signal });
      await read.next();
      stop.abort();
      await drain(read).catch(() => undefined);
    },
    'a read that is left': async () => {
      for await (const event of lasting.tail({ signal })) if (event.counter > 0) break;
    },
    'an event by its id': () => lasting.get('3.1'),
  };
  for (const [what, call] of Object.entries(calls)) {
    const heapAfter = async (count: number): Promise<number> => {
      for (let done = 0; done < count; done += 20) await Promise.all(Array.from({ length: 20 }, call));
      // The fake's own record of what it was asked.
      node.reads.length = 0;
      await untilReleased(idle);
      collect();
      return process.memoryUsage().heapUsed;
    };
    const idle = held();
    let left = Number.POSITIVE_INFINITY;
    let before = await heapAfter(ROUNDS);
    // What is held for each call shows every time; code that is compiled meanwhile does not.
    for (let measured = 0; measured < 5 && left > LEFT_BYTES_MAX; measured++) {
      const after = await heapAfter(ROUNDS);
      left = (after - before) / ROUNDS;
      before = after;
    }
    assert.ok(left <= LEFT_BYTES_MAX, `${what} leaves ${left} bytes`);
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

async function drain(events: AsyncIterable<Event>): Promise<void> {
  for await (const event of events) assert.ok(event.counter > 0);
}
