/** A connection that was given up is gone, on both sides, however far it had come, and whatever its peer does. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { RpcClient } from '../../src/rpc/index.js';
import { proto } from '../../src/wire/index.js';
import { freePorts } from '../support/free-ports.js';
import { held, untilReleased } from '../support/held.js';
import { LinkProxy } from '../support/link-proxy.js';
import { until } from '../support/until.js';
import { startFixture } from './rpc-fixture.js';

const SERVICE = proto.EventServiceDefinition;
const GET = { stream: 'default', id: '', incarnation: '' };

let before: Record<string, number> = {};
const cleanups: (() => unknown)[] = [];

beforeEach(() => {
  before = held();
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Takes connections and says nothing, as a paused node does. */
async function startMute(
  port = 0,
): Promise<{ server: Server; sockets: Set<Socket>; taken: () => number; address: string }> {
  const sockets = new Set<Socket>();
  let taken = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    taken++;
    sockets.add(socket);
    // It does not close its side either. What it is sent must be read, or it would not hear of the other's end.
    socket.resume().on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, sockets, taken: () => taken, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test('closed in the turn of its first call, it does not dial', async () => {
  const mute = await startMute();
  const all = held();
  for (let round = 0; round < 20; round++) {
    const client = new RpcClient(SERVICE, mute.address);
    const answer = client.unary('get', GET);
    client.close();
    await assert.rejects(answer, { code: 'UNREACHABLE' });
  }
  await untilReleased(all);
  assert.equal(mute.taken(), 0);
});

test('closed while somebody waits for it, it does not come back to life with its host', async () => {
  const [port = 0] = await freePorts(1);
  const clients = Array.from({ length: 20 }, () => new RpcClient(SERVICE, `127.0.0.1:${port}`));
  const waits = clients.map((client) =>
    assert.rejects(client.waitForReady(60_000), { code: 'UNREACHABLE', message: /has been closed/ }),
  );
  await until('all were refused', () => clients.every((client) => client.state === 'failing'));
  // Some are in the middle of an attempt, and some wait for the next.
  for (const [position, client] of clients.entries()) {
    if (position % 2 === 0) await pause(10);
    client.close();
    assert.equal(client.state, 'closed');
  }
  await Promise.all(waits);
  const mute = await startMute(port);
  // Longer than any of their back-offs.
  await pause(700);
  assert.equal(mute.taken(), 0);
  mute.server.close();
  await untilReleased(before);
});

test('a peer that takes connections and says nothing is not waited for', async () => {
  const mute = await startMute();
  const all = held();
  const client = new RpcClient(SERVICE, mute.address);
  const call = assert.rejects(client.unary('get', GET, { timeoutMs: 1000 }));
  await until('it was dialled', () => mute.sockets.size === 1);
  await call;
  client.close();
  // The peer's side is half open: it ends once it writes, or is told with a reset.
  await until(
    'the peer heard of the end',
    () => [...mute.sockets].every((socket) => socket.readableEnded || socket.destroyed),
    {
      timeoutMs: 5000,
    },
  );
  for (const socket of mute.sockets) socket.destroy();
  await untilReleased(all);
});

test('a peer that fell silent is not waited for', async (context) => {
  const { client: other, address } = await startFixture(context, { get: () => new Promise(() => undefined) });
  other.close();
  const proxy = await LinkProxy.to(Number(address.split(':')[1]));
  cleanups.push(() => proxy.close());
  const all = held();
  const client = new RpcClient(SERVICE, `127.0.0.1:${proxy.port}`);
  const call = client.unary('get', GET, { timeoutMs: 2000 });
  await until('it stands', () => client.state === 'ready');
  proxy.cut();
  await assert.rejects(call);
  client.close();
  // The cut holds the proxy's own two sockets, and that of the server behind it.
  const behind = 3;
  await untilReleased({
    ...all,
    TCPSocketWrap: (all['TCPSocketWrap'] ?? 0) + behind,
    sockets: (all['sockets'] ?? 0) + behind,
  });
});

test('a peer that does not answer the dial is not waited for', async () => {
  const backlog = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const server = require('node:net').createServer();
     server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       const held = new Int32Array(new SharedArrayBuffer(4));
       parentPort.postMessage({ port: server.address().port, held });
       Atomics.wait(held, 0, 0);
     });`,
    { eval: true },
  );
  const [{ port, held: gate }] = (await once(backlog, 'message')) as [{ port: number; held: Int32Array }];
  cleanups.push(async () => {
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    await backlog.terminate();
  });
  const all = held();
  // The kernel takes two or three in for it; the packets of the others are dropped.
  const clients = Array.from({ length: 8 }, () => new RpcClient(SERVICE, `127.0.0.1:${port}`));
  const calls = clients.map((client) => client.unary('get', GET, { timeoutMs: 200 }));
  await Promise.allSettled(calls);
  assert.ok((held()['ConnectWrap'] ?? 0) > 0, JSON.stringify(held()));
  for (const client of clients) client.close();
  await untilReleased(all);
});

test('calls that are under way when it is closed end by themselves, and then nothing is left', async (context) => {
  let answer: (response: proto.GetResponse) => void = () => undefined;
  const answered = new Promise<proto.GetResponse>((resolve) => {
    answer = resolve;
  });
  const { client, server } = await startFixture(context, { get: () => answered });
  const all = held();
  const call = client.unary('get', GET);
  await until('it stands', () => client.state === 'ready');
  client.close();
  await turn();
  answer({ event: undefined });
  assert.deepEqual(await call, { event: undefined });
  await untilReleased(all);
  await server.close(0);
});

test('a host is dialled by its name; one without an address is told as unreachable', async (context) => {
  const { address } = await startFixture(context, { get: () => Promise.resolve({ event: undefined }) });
  const byName = new RpcClient(SERVICE, address.replace('127.0.0.1', 'localhost'));
  assert.deepEqual(await byName.unary('get', GET), { event: undefined });
  byName.close();
  const nowhere = new RpcClient(SERVICE, 'no-such-host.invalid:3000');
  await assert.rejects(nowhere.unary('get', GET), {
    code: 'UNREACHABLE',
    message: /Name resolution failed for no-such-host.invalid/,
  });
  nowhere.close();
});
