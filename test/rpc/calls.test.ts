import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { FlotillaError } from '../../src/base/index.js';
import { RpcClient } from '../../src/rpc/index.js';
import { proto } from '../../src/wire/index.js';
import { readRequest } from '../support/read-request.js';
import {
  appendRequest,
  appendResponse,
  produceRequest,
  produceResponse,
  readResponse,
  startFixture,
} from './rpc-fixture.js';

test('a unary call carries its request there and the response back', async (context) => {
  const { client } = await startFixture(context, {
    append: async (request) => appendResponse(`for ${request.stream}`),
  });
  const response = await client.unary('append', appendRequest('ünïcode'));
  assert.equal(response.receipt?.firstId, 'for ünïcode');
  assert.equal(response.receipt?.logIndex, 2);
});

test('the metadata of a unary call reaches the handler', async (context) => {
  const { client } = await startFixture(context, {
    append: async (_request, call) =>
      appendResponse(`${call.metadata('flotilla-actor')} ${call.metadata('absent')} ${call.peer.split(':')[0]}`),
  });
  const response = await client.unary('append', appendRequest(''), { metadata: { 'flotilla-actor': '7' } });
  assert.equal(response.receipt?.firstId, '7 undefined 127.0.0.1');
});

test('a server stream delivers everything in order, and ends', async (context) => {
  const { client } = await startFixture(context, {
    read: async (request, stream) => {
      for (let n = 0; n < request.limit; n++) await stream.send(readResponse(Buffer.from([n % 256])));
    },
  });
  const seen: number[] = [];
  for await (const { content } of client.serverStream('read', readRequest({ limit: 1000 }))) {
    assert.equal(content?.$case, 'batches');
    seen.push(content.value.batches[0]?.[0] ?? -1);
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 1000 }, (_, n) => n % 256),
  );
});

test('messages before the failure of a server stream arrive before it', async (context) => {
  const { client } = await startFixture(context, {
    read: async (_request, stream) => {
      for (let n = 0; n < 5; n++) await stream.send(readResponse(Buffer.from([n])));
      throw new FlotillaError('POSITION_REMOVED', 'the first there is: 7');
    },
  });
  let count = 0;
  const stream = client.serverStream('read', readRequest());
  await assert.rejects(
    stream.receive(() => {
      count++;
    }),
    { code: 'POSITION_REMOVED', message: 'the first there is: 7' },
  );
  assert.equal(count, 5);
  assert.equal((await stream.ended)?.code, 'POSITION_REMOVED');
});

test('many messages both ways keep their order in a duplex call', async (context) => {
  const { client } = await startFixture(context, {
    produce: async (stream) => {
      await stream.receive((request) => stream.send(produceResponse(Number(request.requestId))));
    },
  });
  const count = 5000;
  const call = client.duplex('produce');
  const seen: number[] = [];
  const received = call.receive((response) => {
    seen.push(Number(response.requestId));
  });
  for (let id = 1; id <= count; id++) await call.send(produceRequest(id));
  call.end();
  await received;
  assert.equal(await call.ended, undefined);
  assert.deepEqual(
    seen,
    Array.from({ length: count }, (_, index) => index + 1),
  );
});

test('the server of a duplex call iterates its requests', async (context) => {
  const { client } = await startFixture(context, {
    produce: async (stream) => {
      for await (const request of stream) await stream.send(produceResponse(Number(request.requestId) * 2));
    },
  });
  const call = client.duplex('produce');
  for (const id of [1, 2, 3]) await call.send(produceRequest(id));
  call.end();
  const seen: number[] = [];
  for await (const response of call) seen.push(Number(response.requestId));
  assert.deepEqual(seen, [2, 4, 6]);
});

test('the headers of a duplex call are seen before any message', async (context) => {
  const { client } = await startFixture(context, {
    produce: async (stream, call) => {
      call.setHeader('flotilla-test', 'yes');
      call.sendHeaders();
      await stream.receive(() => undefined);
    },
  });
  const call = client.duplex('produce');
  await new Promise<void>((resolve) => call.onHeaders(() => resolve()));
  call.end();
  await call.receive(() => undefined);
});

test('what onMessage throws ends the duplex call', async (context) => {
  const { client } = await startFixture(context, {
    produce: async (stream) => {
      await stream.receive((request) => {
        if (request.requestId === '2') throw new FlotillaError('INVALID_ARGUMENT', 'two is no number');
      });
    },
  });
  const call = client.duplex('produce');
  for (const id of [1, 2, 3]) await call.send(produceRequest(id));
  await assert.rejects(
    call.receive(() => undefined),
    { code: 'INVALID_ARGUMENT', message: 'two is no number' },
  );
  await assert.rejects(async () => await call.send(produceRequest(4)), { code: 'INVALID_ARGUMENT' });
});

test('cancelling by a signal reaches the handler', async (context) => {
  const gone = deferred<string>();
  const { client } = await startFixture(context, {
    append: async (_request, call) => {
      started.abort();
      await once(call.signal, 'abort');
      gone.resolve(String(call.signal.reason));
      throw new FlotillaError('CANCELLED', 'stopped');
    },
  });
  const started = new AbortController();
  const controller = new AbortController();
  const answer = client.unary('append', appendRequest(''), { signal: controller.signal });
  answer.catch(() => undefined);
  await once(started.signal, 'abort');
  controller.abort();
  await assert.rejects(answer, { code: 'CANCELLED' });
  assert.match(await gone.promise, /the caller went away/);
});

test('a call with an aborted signal fails at once', async (context) => {
  const { client } = await startFixture(context, { append: async () => appendResponse('') });
  await assert.rejects(client.unary('append', appendRequest(''), { signal: AbortSignal.abort() }), {
    code: 'CANCELLED',
  });
});

test("leaving the loop ends the handler's stream", async (context) => {
  const ended = deferred<unknown>();
  const { client } = await startFixture(context, {
    read: async (_request, stream) => {
      try {
        while (true) await (stream.send(readResponse(Buffer.alloc(1000))) ?? new Promise(setImmediate));
      } catch (error) {
        ended.resolve(error);
        throw error;
      }
    },
  });
  for await (const _response of client.serverStream('read', readRequest())) break;
  const error = await ended.promise;
  assert.ok(error instanceof FlotillaError && error.code === 'CANCELLED', String(error));
});

test('a regular end is no abort', async (context) => {
  let signal: AbortSignal | undefined;
  const { client } = await startFixture(context, {
    append: async (_request, call) => {
      signal = call.signal;
      return appendResponse('');
    },
  });
  await client.unary('append', appendRequest(''));
  await client.unary('append', appendRequest(''));
  assert.equal(signal?.aborted, false);
});

test("the deadline is the caller's, and reaches the handler", async (context) => {
  const aborted = deferred<void>();
  const { client } = await startFixture(context, {
    append: async (_request, call) => {
      await once(call.signal, 'abort');
      aborted.resolve();
      return appendResponse('');
    },
  });
  await client.waitForReady(2000);
  await assert.rejects(client.unary('append', appendRequest(''), { timeoutMs: 50 }), { code: 'DEADLINE_EXCEEDED' });
  await aborted.promise;
});

test('a closed client refuses calls', async (context) => {
  const { address } = await startFixture(context);
  const client = new RpcClient(proto.EventServiceDefinition, address);
  client.close();
  assert.equal(client.state, 'closed');
  await assert.rejects(client.unary('append', appendRequest('')), { code: 'UNREACHABLE' });
});

function deferred<T>(): { promise: Promise<T>; resolve(value: T): void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((onResolve) => {
    resolve = onResolve;
  });
  return { promise, resolve };
}
