import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { FlotillaError, LIMITS } from '../../src/base/index.js';
import { RpcClient, RpcServer } from '../../src/rpc/index.js';
import { proto } from '../../src/wire/index.js';
import { readRequest } from '../support/read-request.js';
import { appendRequest, appendResponse, produceRequest, readResponse, startFixture } from './rpc-fixture.js';

/** A call with bytes of the test's own choosing. */
function rawUnary(address: string, path: string, bytes: Uint8Array): Promise<ServiceError | Buffer> {
  const client = new Client(address, credentials.createInsecure());
  const same = (value: Buffer): Buffer => value;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, same, same, Buffer.from(bytes), (error, response) => {
      client.close();
      resolve(error ?? response ?? Buffer.alloc(0));
    });
  });
}

const APPEND_PATH = '/flotilla.v1.EventService/Append';

test('an error of the handler becomes its status, with code and leader', async (context) => {
  const { client, internalErrors } = await startFixture(context, {
    append: async () => {
      throw new FlotillaError('NO_LEADER', 'keine Führung \u{1F6A2} \uD800', { leader: '10.0.0.1:3000' });
    },
  });
  await assert.rejects(client.unary('append', appendRequest('')), (error) => {
    assert.ok(error instanceof FlotillaError);
    assert.equal(error.code, 'NO_LEADER');
    assert.equal(error.message, 'keine Führung \u{1F6A2} \uFFFD');
    assert.equal(error.leader, '10.0.0.1:3000');
    return true;
  });
  assert.equal(internalErrors.length, 0);
});

test('a crash of the handler is INTERNAL, without details, and is reported', async (context) => {
  const { client, internalErrors } = await startFixture(context, {
    append: async () => {
      throw new TypeError('secret of the inside');
    },
    read: async (_request, stream) => {
      await stream.send(readResponse(Buffer.alloc(1)));
      throw new TypeError('secret of the inside');
    },
  });
  const expected = { code: 'INTERNAL', message: "internal error; see the node's log" };
  await assert.rejects(client.unary('append', appendRequest('')), expected);
  await assert.rejects(
    client.serverStream('read', readRequest()).receive(() => undefined),
    expected,
  );
  assert.deepEqual(
    internalErrors.map(({ method }) => method),
    [APPEND_PATH, '/flotilla.v1.EventService/Read'],
  );
});

test("a response that can't be encoded leaves the outcome unknown, and is reported", async (context) => {
  const { client, internalErrors } = await startFixture(context, {
    append: async () => ({ receipt: { firstId: '', lastId: '', count: -1, term: 0, logIndex: 0, incarnation: '' } }),
  });
  await assert.rejects(client.unary('append', appendRequest('')), { code: 'OUTCOME_UNKNOWN' });
  assert.equal(internalErrors.length, 1);
});

test('malformed bytes are INVALID_ARGUMENT and say why, and the server goes on', async (context) => {
  const { address, client, internalErrors } = await startFixture(context, {
    append: async () => appendResponse('fine'),
  });
  const bad: readonly [string, number[]][] = [
    ['a cut field', [0x0a, 0x05, 0x61]],
    ['text that is no UTF-8', [0x0a, 0x02, 0xc3, 0x28]],
    ['a tag of zero', [0x00, 0x01, 0x02]],
    ['a nested message longer than its parent', [0x1a, 0x7f, 0x01]],
    ['an endless varint', [0x18, ...Array.from({ length: 12 }, () => 0xff)]],
  ];
  for (const [what, bytes] of bad) {
    const error = await rawUnary(address, APPEND_PATH, Buffer.from(bytes));
    assert.ok(error instanceof Error, what);
    assert.equal(error.code, 3, `${what}: ${error.message}`);
    assert.match(error.details, /the message is not well-formed protobuf: ./, what);
    assert.deepEqual(error.metadata.get('flotilla-code'), ['INVALID_ARGUMENT'], what);
  }
  assert.equal((await client.unary('append', appendRequest(''))).receipt?.firstId, 'fine');
  assert.deepEqual(internalErrors, []);
});

/** Sends messages on a Produce stream, and ends it. */
async function rawProduce(
  address: string,
  ...messages: readonly (readonly number[])[]
): Promise<{ responses: Buffer[]; failure: ServiceError | undefined }> {
  const client = new Client(address, credentials.createInsecure());
  const same = (value: Buffer): Buffer => value;
  const call = client.makeBidiStreamRequest('/flotilla.v1.EventService/Produce', same, same);
  const responses: Buffer[] = [];
  let failure: ServiceError | undefined;
  call.on('data', (response: Buffer) => responses.push(response));
  call.on('error', (error: ServiceError) => {
    failure = error;
  });
  for (const message of messages) call.write(Buffer.from(message));
  call.end();
  await new Promise((resolve) => call.on('status', resolve));
  client.close();
  return { responses, failure };
}

test('request ids of 64 bits come back as they were', async (context) => {
  const { address } = await startFixture(context, {
    produce: async (stream) => stream.receive(({ requestId }) => void stream.send({ requestId, outcome: undefined })),
  });
  const ids = [
    [0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10],
    [0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  ];
  const { responses, failure } = await rawProduce(address, ...ids);
  assert.equal(failure, undefined);
  assert.deepEqual(responses, ids.map(Buffer.from));
});

test('a malformed message in a stream is refused behind the answers to those before', async (context) => {
  const { address } = await startFixture(context, {
    produce: async (stream) => stream.receive(({ requestId }) => void stream.send({ requestId, outcome: undefined })),
  });
  const before = Array.from({ length: 100 }, (_, at) => [0x08, at + 1]);
  const { responses, failure } = await rawProduce(address, ...before, [0x12, 0x7f], [0x08, 0x7f]);
  assert.equal(failure?.code, 3, failure?.message);
  assert.deepEqual(failure.metadata.get('flotilla-code'), ['INVALID_ARGUMENT']);
  assert.deepEqual(responses, before.map(Buffer.from));
});

test('a message that is too large is refused in both directions', async (context) => {
  const { client } = await startFixture(
    context,
    {
      append: async () => appendResponse(''),
      read: async (_request, stream) => void (await stream.send(readResponse(Buffer.alloc(100)))),
    },
    { maxMessageBytes: 1000 },
  );
  await client.unary('append', appendRequest('x'.repeat(900)));
  await assert.rejects(client.unary('append', appendRequest('x'.repeat(1001))), { code: 'MESSAGE_TOO_LARGE' });
});

test('an unknown method and an unknown service are UNIMPLEMENTED', async (context) => {
  const { address } = await startFixture(context);
  for (const path of ['/flotilla.v1.EventService/Nothing', '/other.Service/Append']) {
    const error = await rawUnary(address, path, Buffer.alloc(0));
    assert.ok(error instanceof Error && error.code === 12, path);
    assert.deepEqual(error.metadata.get('flotilla-code'), ['FOREIGN_NODE'], path);
  }
  const client = new RpcClient(proto.ClusterServiceDefinition, address);
  context.after(() => client.close());
  await assert.rejects(client.unary('getStatus', { localOnly: true }), {
    code: 'FOREIGN_NODE',
    message: /does not know this call/,
  });
});

test('a closed port is UNREACHABLE', async () => {
  const port = await closedPort();
  const client = new RpcClient(proto.EventServiceDefinition, `127.0.0.1:${port}`);
  await assert.rejects(client.unary('append', appendRequest('')), { code: 'UNREACHABLE', message: /ECONNREFUSED/ });
  await assert.rejects(client.waitForReady(100), { code: 'UNREACHABLE' });
  assert.equal(client.state, 'failing');
  client.close();
});

test('a host that never answers is UNREACHABLE at the deadline', async (context) => {
  const silent = createServer();
  silent.listen(0, '127.0.0.1');
  await new Promise((resolve) => silent.once('listening', resolve));
  context.after(() => silent.close());
  const address = silent.address();
  assert.ok(address !== null && typeof address === 'object');
  silent.on('connection', (socket) => context.after(() => socket.destroy()));
  const client = new RpcClient(proto.EventServiceDefinition, `127.0.0.1:${address.port}`);
  context.after(() => client.close());
  await assert.rejects(client.unary('append', appendRequest(''), { timeoutMs: 100 }), { code: 'UNREACHABLE' });
});

test('an unknown host is UNREACHABLE', async (context) => {
  const client = new RpcClient(proto.EventServiceDefinition, 'no-such-host.invalid:3000');
  context.after(() => client.close());
  await assert.rejects(client.unary('append', appendRequest('')), { code: 'UNREACHABLE' });
});

test('a connection that is lost while a call is under way leaves its outcome unknown', async (context) => {
  const { client, server } = await startFixture(context, {
    append: async () => {
      setImmediate(() => void server.close(0));
      return await new Promise(() => undefined);
    },
  });
  await assert.rejects(client.unary('append', appendRequest('')), { code: 'OUTCOME_UNKNOWN' });
});

test('a server that comes back is dialled again within half a second', async (context) => {
  const first = await startFixture(context, { append: async () => appendResponse('first') });
  await first.client.unary('append', appendRequest(''));
  await first.server.close(0);
  await assert.rejects(first.client.unary('append', appendRequest('')));
  const second = new RpcServer({ onInternalError: () => undefined });
  const missing = (): Promise<never> => Promise.reject(new Error('not in this test'));
  second.add(proto.EventServiceDefinition, {
    append: async () => appendResponse('second'),
    produce: missing,
    read: missing,
    get: missing,
    openProducer: missing,
  });
  await second.listen('127.0.0.1', Number(first.address.split(':')[1]));
  context.after(() => second.close(0));
  await first.client.waitForReady(1000);
  assert.equal((await first.client.unary('append', appendRequest(''))).receipt?.firstId, 'second');
});

test('a taken port says what to do', async (context) => {
  const { address } = await startFixture(context);
  const second = new RpcServer({ onInternalError: () => undefined });
  await assert.rejects(second.listen('127.0.0.1', Number(address.split(':')[1])), {
    code: 'INVALID_ARGUMENT',
    message: /another process listens there/,
  });
  await second.close(0);
});

test('localhost is reachable by name, and by its address', async (context) => {
  const server = new RpcServer({ onInternalError: () => undefined });
  const missing = (): Promise<never> => Promise.reject(new Error('not in this test'));
  server.add(proto.EventServiceDefinition, {
    append: async () => appendResponse('here'),
    produce: missing,
    read: missing,
    get: missing,
    openProducer: missing,
  });
  const port = await server.listen('localhost', 0);
  context.after(() => server.close(0));
  for (const host of ['localhost', '127.0.0.1']) {
    const client = new RpcClient(proto.EventServiceDefinition, `${host}:${port}`);
    assert.equal((await client.unary('append', appendRequest(''))).receipt?.firstId, 'here');
    client.close();
  }
});

test('close lets calls end within the grace time', async (context) => {
  const begun = new AbortController();
  let finish: () => void = () => undefined;
  const { client, server } = await startFixture(context, {
    append: async () => {
      begun.abort();
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return appendResponse('finished');
    },
  });
  const answer = client.unary('append', appendRequest(''));
  await new Promise((resolve) => begun.signal.addEventListener('abort', resolve));
  const closed = server.close(5000);
  finish();
  assert.equal((await answer).receipt?.firstId, 'finished');
  await closed;
});

test('a reader that stops reading holds the server back', async (context) => {
  const chunk = Buffer.alloc(256 * 1024);
  let sent = 0;
  let lastSentAt = Date.now();
  const { client } = await startFixture(context, {
    read: async (_request, stream) => {
      while (true) {
        await stream.send(readResponse(chunk));
        sent += chunk.byteLength;
        lastSentAt = Date.now();
      }
    },
  });
  const call = client.serverStream('read', readRequest());
  let release: () => void = () => undefined;
  const received = call.receive(
    () =>
      new Promise<void>((resolve) => {
        release = resolve;
      }),
  );
  received.catch(() => undefined);
  // Quiet for a while: whatever fits into windows and buffers is there.
  while (sent === 0 || Date.now() - lastSentAt < 200) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(
    sent < LIMITS.flowControlWindowBytes + 8 * 1024 * 1024,
    `${sent} bytes went to a reader that does not read`,
  );
  assert.ok(sent > LIMITS.flowControlWindowBytes / 2, `only ${sent} bytes fit into the window`);
  release();
  call.cancel();
  await assert.rejects(received, { code: 'CANCELLED' });
});

test('a handler that stops taking in holds the caller back', async (context) => {
  const { client } = await startFixture(context, {
    produce: async (stream) => stream.receive(() => new Promise<void>(() => undefined)),
  });
  const call = client.duplex('produce');
  const body = Buffer.alloc(64 * 1024);
  let sent = 0;
  while (true) {
    const room = call.send(produceRequest(1, body));
    sent += body.byteLength;
    if (room === undefined) continue;
    const blocked = Symbol('blocked');
    if ((await Promise.race([room, new Promise((resolve) => setTimeout(resolve, 200, blocked))])) === blocked) break;
  }
  assert.ok(sent > LIMITS.streamWindowBytes, `the server's window lets only ${sent} bytes through`);
  assert.ok(sent < LIMITS.streamWindowBytes + 4 * 1024 * 1024, `${sent} bytes went to a handler that takes nothing in`);
  call.cancel();
});

test('too many headers are refused before any handler', async (context) => {
  let calls = 0;
  const { client } = await startFixture(context, {
    append: async () => {
      calls++;
      return appendResponse('');
    },
  });
  await assert.rejects(
    client.unary('append', appendRequest(''), { metadata: { big: 'x'.repeat(LIMITS.metadataBytes) } }),
  );
  assert.equal(calls, 0);
  await client.unary('append', appendRequest(''));
});

test('serversWindowsAreRaised', async (context) => {
  const { address } = await startFixture(context);
  const session = connect(`http://${address}`);
  context.after(() => session.destroy());
  const settings = await new Promise<{ initialWindowSize?: number; maxConcurrentStreams?: number }>((resolve) =>
    session.once('remoteSettings', resolve),
  );
  assert.equal(settings.initialWindowSize, LIMITS.streamWindowBytes);
  assert.equal(settings.maxConcurrentStreams, LIMITS.concurrentStreamsPerConnection);
  const deadline = Date.now() + 1000;
  while (session.state.remoteWindowSize !== LIMITS.flowControlWindowBytes && Date.now() < deadline)
    await new Promise(setImmediate);
  assert.equal(session.state.remoteWindowSize, LIMITS.flowControlWindowBytes);
});

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}
