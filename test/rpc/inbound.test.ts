import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from 'node:http2';
import { type TestContext, test } from 'node:test';
import { deflateSync, gzipSync } from 'node:zlib';
import { LIMITS } from '../../src/base/index.js';
import { encodeMessage, proto } from '../../src/wire/index.js';
import { appendRequest, appendResponse, produceRequest, startFixture } from './rpc-fixture.js';

const APPEND = '/flotilla.v1.EventService/Append';
const PRODUCE = '/flotilla.v1.EventService/Produce';

async function session(context: TestContext, address: string): Promise<ClientHttp2Session> {
  const opened = connect(`http://${address}`);
  context.after(() => opened.destroy());
  await once(opened, 'connect');
  return opened;
}

function open(
  over: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): ClientHttp2Stream {
  const stream = over.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.on('error', () => undefined);
  return stream;
}

/** A message as it travels. */
function framed(bytes: Uint8Array, compressed = false, length = bytes.byteLength): Buffer {
  const prefix = Buffer.from([compressed ? 1 : 0, 0, 0, 0, 0]);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, bytes]);
}

/** How a call ends: gRPC status and our code. */
async function ending(stream: ClientHttp2Stream): Promise<readonly [status: string, code: string | undefined]> {
  const told: IncomingHttpHeaders = {};
  stream.on('response', (headers) => Object.assign(told, headers));
  stream.on('trailers', (headers) => Object.assign(told, headers));
  stream.resume();
  // The stream itself may stay open: the caller has not said that it sends nothing more.
  await new Promise((resolve) => stream.on('end', resolve).on('close', resolve));
  const code = told['flotilla-code'];
  return [String(told['grpc-status']), code === undefined ? undefined : String(code)];
}

const request = encodeMessage(proto.AppendRequest, appendRequest('here'));

test('a request is inflated, as gzip and as deflate, and one that inflates to too much is not', async (context) => {
  const { address } = await startFixture(context, { append: async ({ stream }) => appendResponse(stream) });
  const over = await session(context, address);
  const call = (headers: Record<string, string>, message: Buffer): Promise<readonly [string, string | undefined]> => {
    const stream = open(over, APPEND, headers);
    stream.end(message);
    return ending(stream);
  };
  assert.deepEqual(await call({ 'grpc-encoding': 'gzip' }, framed(gzipSync(request), true)), ['0', undefined]);
  assert.deepEqual(await call({ 'grpc-encoding': 'deflate' }, framed(deflateSync(request), true)), ['0', undefined]);
  assert.deepEqual(await call({ 'grpc-encoding': 'gzip' }, framed(request)), ['0', undefined]);
  assert.deepEqual(await call({ 'grpc-encoding': 'gzip' }, framed(request, true)), ['3', 'INVALID_ARGUMENT']);
  assert.deepEqual(await call({}, framed(gzipSync(request), true)), ['3', 'INVALID_ARGUMENT']);
  assert.deepEqual(await call({ 'grpc-encoding': 'br' }, framed(request)), ['12', 'INVALID_ARGUMENT']);
  const bomb = gzipSync(Buffer.alloc(LIMITS.inflatedBytes + 1));
  assert.deepEqual(await call({ 'grpc-encoding': 'gzip' }, framed(bomb, true)), ['8', 'MESSAGE_TOO_LARGE']);
});

test('health answers a compressed request, and refuses one that inflates to too much', async (context) => {
  const { address, server } = await startFixture(context);
  server.setServing(true);
  const over = await session(context, address);
  const check = (message: Buffer): Promise<readonly [string, string | undefined]> => {
    const stream = open(over, '/grpc.health.v1.Health/Check', { 'grpc-encoding': 'gzip' });
    stream.end(message);
    return ending(stream);
  };
  const name = Buffer.from('flotilla.v1.EventService');
  const asked = Buffer.concat([Buffer.from([0x0a, name.byteLength]), name]);
  assert.deepEqual(await check(framed(gzipSync(asked), true)), ['0', undefined]);
  assert.deepEqual(await check(framed(asked)), ['0', undefined]);
  assert.deepEqual(await check(framed(gzipSync(Buffer.alloc(LIMITS.inflatedBytes + 1)), true)), [
    '8',
    'MESSAGE_TOO_LARGE',
  ]);
  assert.deepEqual(await check(framed(Buffer.alloc(LIMITS.standardRequestBytes + 1))), ['8', 'MESSAGE_TOO_LARGE']);
});

test('a call with one message that sends none, two, or half of one is refused', async (context) => {
  const { address } = await startFixture(context, { append: async ({ stream }) => appendResponse(stream) });
  const over = await session(context, address);
  for (const sent of [
    Buffer.alloc(0),
    Buffer.concat([framed(request), framed(request)]),
    framed(request, false, request.byteLength + 1),
  ]) {
    const stream = open(over, APPEND);
    stream.end(sent);
    assert.deepEqual(await ending(stream), ['3', 'INVALID_ARGUMENT']);
  }
});

test('requests that never end hold no more than a connection may, and keep no whole one out', async (context) => {
  const { address } = await startFixture(context, {
    append: async ({ stream }) => appendResponse(stream),
    produce: async (stream) => stream.receive(() => undefined),
  });
  const flood = await session(context, address);
  const part = Buffer.alloc(1024 * 1024);
  const count = 3 * (LIMITS.inboundBytesPerConnection / part.byteLength);
  const outcomes: Promise<readonly [string, string | undefined]>[] = [];
  for (let at = 0; at < count; at++) {
    // Half of them never end a message, and half never end a request after it.
    const whole = at % 2 === 0;
    const stream = open(flood, at % 4 < 2 ? APPEND : PRODUCE);
    stream.write(framed(part, false, whole && at % 4 < 2 ? part.byteLength : part.byteLength + 1));
    outcomes.push(ending(stream));
    const answered = open(flood, APPEND);
    answered.end(framed(request));
    assert.deepEqual(await ending(answered), ['0', undefined], `beside ${at} of them`);
  }
  // Those that were there first had to go.
  for (const outcome of outcomes.slice(0, count / 2)) assert.deepEqual(await outcome, ['8', 'TOO_MANY_REQUESTS']);
});

test('a message that is too large ends its stream behind those before it', async (context) => {
  const seen: string[] = [];
  const { address } = await startFixture(
    context,
    { produce: async (stream) => stream.receive(({ requestId }) => void seen.push(requestId)) },
    { maxMessageBytes: 1000 },
  );
  const stream = open(await session(context, address), PRODUCE);
  stream.write(framed(Buffer.from([0x08, 0x01])));
  stream.write(framed(Buffer.alloc(1001)));
  stream.end();
  assert.deepEqual(await ending(stream), ['8', 'MESSAGE_TOO_LARGE']);
  assert.deepEqual(seen, ['1']);
});

test('messages arrive as they were sent, however they are cut, while their handler is busy', async (context) => {
  const seen: string[] = [];
  const sizes = [0, 1, 100, 3000, 20_000, 100_000];
  const { address } = await startFixture(context, {
    produce: (stream) =>
      stream.receive(async ({ requestId, packed }) => {
        const { body } = packed ?? { body: new Uint8Array(0) };
        seen.push(`${requestId}: ${body.byteLength} of ${[...new Set(body)].join()}`);
        await new Promise((resolve) => setImmediate(resolve));
      }),
  });
  const messages = sizes.map((size, at) =>
    framed(encodeMessage(proto.ProduceRequest, produceRequest(at + 1, Buffer.alloc(size, at + 1)))),
  );
  const wanted = sizes.map((size, at) => `${at + 1}: ${size} of ${size === 0 ? '' : at + 1}`);
  const all = Buffer.concat([framed(new Uint8Array(0)), ...messages]);
  for (const pieceBytes of [1, 3, 4, 5, 7, 1000, all.byteLength]) {
    seen.length = 0;
    const stream = open(await session(context, address), PRODUCE);
    // The last piece is the rest: as frames of single bytes it would take long.
    let at = 0;
    for (; at < Math.min(all.byteLength, 600 * pieceBytes); at += pieceBytes)
      stream.write(all.subarray(at, at + pieceBytes));
    stream.end(all.subarray(at));
    assert.deepEqual(await ending(stream), ['0', undefined], `pieces of ${pieceBytes} bytes`);
    assert.deepEqual(seen, ['0: 0 of ', ...wanted], `pieces of ${pieceBytes} bytes`);
  }
});
