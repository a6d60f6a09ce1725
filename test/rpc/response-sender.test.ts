import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, credentials, status as GrpcStatus, type ServiceError } from '@grpc/grpc-js';
import { FlotillaError, LIMITS } from '../../src/base/index.js';
import { RpcClient } from '../../src/rpc/index.js';
import { ResponseSender, UnsentResponses } from '../../src/rpc/response-sender.js';
import { proto } from '../../src/wire/index.js';
import { readRequest } from '../support/read-request.js';
import { readResponse, startFixture } from './rpc-fixture.js';

/** A call whose connection takes what the test says. */
class Call {
  readonly written: number[] = [];
  private readonly callbacks: (() => void)[] = [];
  private readonly leaving = new AbortController();
  readonly sender: ResponseSender<number>;

  constructor(unsent: UnsentResponses) {
    this.sender = new ResponseSender<number>({
      sink: {
        write: (message, written) => {
          assert.ok(message instanceof Uint8Array, 'what is handed over is encoded');
          this.written.push(message.byteLength);
          this.callbacks.push(written);
        },
      },
      // A message is as long as it says.
      encode: (length) => new Uint8Array(length),
      unsent,
      signal: () => this.leaving.signal,
      reset: () => this.leave(),
    });
  }

  /** Sends until that is to wait; what is waited for. */
  fill(bytes: number): Promise<void> {
    for (;;) {
      const pending = this.sender.send(bytes);
      if (pending !== undefined) return pending;
    }
  }

  take(): void {
    this.callbacks.shift()?.();
  }

  leave(): void {
    this.leaving.abort();
    this.sender.break(new FlotillaError('CANCELLED', 'the caller went away'));
  }

  get bytes(): number {
    return this.written.reduce((sum, each) => sum + each, 0);
  }
}

const MiB = 1024 * 1024;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function isPending(promise: Promise<void>): Promise<boolean> {
  const pending = Symbol('pending');
  await settled();
  return (await Promise.race([promise.then(() => undefined), Promise.resolve(pending)])) === pending;
}

test('a call waits by bytes and by messages, and goes on as its connection takes them', async () => {
  const unsent = new UnsentResponses();
  const large = new Call(unsent);
  const waiting = large.fill(1 * MiB);
  assert.equal(large.bytes, LIMITS.unsentBytesPerStream);
  large.take();
  await waiting;
  const small = new Call(unsent);
  void small.fill(10);
  assert.equal(small.written.length, LIMITS.unsentMessagesPerStream);
  const lone = new Call(unsent);
  const taken = lone.fill(LIMITS.eventDataBytesMax);
  assert.equal(lone.written.length, 1, 'one response may be larger than the bound');
  assert.equal(await isPending(taken), true);
  lone.take();
  await taken;
});

test('many calls whose connections take nothing hold a bound in all, and so does each larger response', async () => {
  for (const bytes of [128 * 1024, 4 * MiB, LIMITS.eventDataBytesMax]) {
    const unsent = new UnsentResponses();
    const calls = Array.from({ length: 300 }, () => new Call(unsent));
    for (const call of calls) void call.fill(bytes).catch(() => undefined);
    await settled();
    const held = calls.reduce((sum, call) => sum + call.bytes, 0);
    assert.ok(held <= LIMITS.unsentBytes + bytes, `${held / MiB} MiB of responses of ${bytes} bytes`);
    for (const call of calls) call.leave();
    await settled();
    assert.equal(unsent.holders, 0);
    const next = new Call(unsent);
    void next.fill(1 * MiB);
    assert.equal(next.bytes, LIMITS.unsentBytesPerStream, 'what those that left had held is there at once');
    next.leave();
  }
});

test('whoever waits for others goes on when they have gone, and hears of it when it is broken itself', async () => {
  const unsent = new UnsentResponses();
  const first = new Call(unsent);
  const held = [first.sender.send(LIMITS.unsentBytes)];
  const second = new Call(unsent);
  const waiting = second.sender.send(10);
  const third = new Call(unsent);
  const broken = third.sender.send(10);
  assert.ok(waiting !== undefined && broken !== undefined);
  assert.equal(second.written.length, 0, 'it is not even encoded');
  third.leave();
  await assert.rejects(broken, { code: 'CANCELLED' });
  assert.equal(await isPending(waiting), true);
  first.leave();
  await waiting;
  assert.deepEqual(second.written, [10]);
  await assert.rejects(Promise.all(held), { code: 'CANCELLED' });
  second.leave();
});

test('a call that is over gives back what its connection never took, once', () => {
  const unsent = new UnsentResponses();
  const call = new Call(unsent);
  call.sender.send(10);
  call.sender.send(20);
  call.sender.release();
  call.take();
  call.take();
  call.sender.release();
  assert.equal(unsent.holders, 0);
  const other = new Call(unsent);
  void other.fill(1 * MiB);
  assert.equal(other.bytes, LIMITS.unsentBytesPerStream);
});

test('a server ends a call of which nothing is taken while others wait for what it holds', async (context) => {
  const large = new Uint8Array(15 * MiB);
  const { address } = await startFixture(context, {
    read: async (_request, stream) => {
      for (let sent = 0; sent < 3; sent++) await stream.send(readResponse(large));
    },
  });
  const stalled = Array.from(
    { length: 6 },
    () => new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }),
  );
  const client = new RpcClient(proto.EventServiceDefinition, address);
  context.after(() => {
    for (const each of [client, ...stalled]) each.close();
  });
  const ends = stalled.map((each) => {
    const call = each.makeServerStreamRequest(
      '/flotilla.v1.EventService/Read',
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      Buffer.alloc(0),
    );
    // What comes is not read; the end is noticed all the same.
    return new Promise<ServiceError>((resolve) => call.on('error', resolve));
  });
  let messages = 0;
  for await (const { content } of client.serverStream('read', readRequest({}), { timeoutMs: 30_000 }))
    if (content !== undefined) messages++;
  assert.equal(messages, 3, 'one that reads is served');
  assert.equal((await Promise.race(ends)).code, GrpcStatus.RESOURCE_EXHAUSTED);
});
