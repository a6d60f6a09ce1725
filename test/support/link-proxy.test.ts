import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { LinkProxy } from './link-proxy.js';
import { until } from './until.js';

/** One end of a connection, with all that it has heard. */
class End {
  readonly socket: Socket;
  heard = '';
  ended = false;
  brokenBy: string | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.heard += text;
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.brokenBy = error.code;
    });
  }

  say(text: string): void {
    this.socket.write(text, 'latin1');
  }

  async hears(text: string): Promise<void> {
    await until(`it hears ${text.length} characters`, () => this.heard === text, {
      timeoutMs: 10_000,
      state: () => this.heard,
    });
  }
}

interface Scene {
  readonly proxy: LinkProxy;
  dial(): Promise<{ readonly caller: End; readonly target: End }>;
}

async function withProxy(body: (scene: Scene) => Promise<void>): Promise<void> {
  const server = createServer({ allowHalfOpen: true });
  server.listen({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const proxy = await LinkProxy.to((server.address() as AddressInfo).port);
  const sockets: Socket[] = [];
  const dial: Scene['dial'] = async () => {
    const accepted = once(server, 'connection');
    const caller = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
    const [target] = (await accepted) as [Socket];
    sockets.push(caller, target);
    return { caller: new End(caller), target: new End(target) };
  };
  try {
    await body({ proxy, dial });
  } finally {
    for (const socket of sockets) socket.destroy();
    await proxy.close();
    server.close();
  }
}

/** A new connection carries something both ways. */
async function exchange({ dial }: Scene): Promise<void> {
  const { caller, target } = await dial();
  caller.say('ping');
  await target.hears('ping');
  target.say('pong');
  await caller.hears('pong');
}

test('what is said passes both ways, and so does the end of it', () =>
  withProxy(async (scene) => {
    const { caller, target } = await scene.dial();
    caller.say('to the target');
    await target.hears('to the target');
    caller.socket.end();
    await until('the target hears of the end', () => target.ended);
    target.say('still talking');
    await caller.hears('still talking');
    target.socket.end();
    await until('the connection is gone', () => scene.proxy.connections === 0);
    assert.ok(caller.ended);
  }));

test('one way is cut: the other one goes on, and what was held arrives in order when it heals', () =>
  withProxy(async ({ proxy, dial }) => {
    const { caller, target } = await dial();
    proxy.cut('there');
    caller.say('one,');
    target.say('back');
    await caller.hears('back');
    caller.say('two');
    const later = await dial();
    later.caller.say('a later connection');
    later.target.say('and back');
    await later.caller.hears('and back');
    assert.deepEqual([target.heard, later.target.heard], ['', '']);
    proxy.heal();
    await target.hears('one,two');
    await later.target.hears('a later connection');
  }));

test('both ways are cut: not even the end of a process is heard of, until it heals', () =>
  withProxy(async ({ proxy, dial }) => {
    const [ends, breaks] = [await dial(), await dial()];
    proxy.cut();
    ends.caller.say('last words');
    ends.caller.socket.end();
    breaks.target.socket.resetAndDestroy();
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    assert.deepEqual([ends.target.heard, ends.target.ended, breaks.caller.brokenBy], ['', false, undefined]);
    proxy.heal();
    await ends.target.hears('last words');
    await until('the ends are heard of', () => ends.target.ended && breaks.caller.brokenBy === 'ECONNRESET');
  }));

test('a cut holds the sender back: it keeps no more than a window', () =>
  withProxy(async ({ proxy, dial }) => {
    const { caller, target } = await dial();
    proxy.cut('there');
    const all = 'x'.repeat(32 * 1024 * 1024);
    caller.say(all);
    let before = -1;
    await until('nothing more is taken', () => {
      const taken = caller.socket.bytesWritten - caller.socket.writableLength;
      const still = taken === before;
      before = taken;
      return still;
    });
    assert.ok(caller.socket.writableLength > 0);
    proxy.heal();
    await until('all of it arrives', () => target.heard.length === all.length);
  }));

test('a delay is kept, and the order with it', () =>
  withProxy(async ({ proxy, dial }) => {
    const { caller, target } = await dial();
    proxy.delay(150, 'there');
    const saidMs = performance.now();
    caller.say('slow,');
    caller.say('slower');
    await target.hears('slow,slower');
    const tookMs = performance.now() - saidMs;
    assert.ok(tookMs >= 149, `it took ${tookMs} ms`);
  }));

test('a dripping link brings a little at a time, and all of it', () =>
  withProxy(async ({ proxy, dial }) => {
    const { caller, target } = await dial();
    proxy.drip(1000, 'there');
    const startedMs = performance.now();
    caller.say('d'.repeat(200));
    await until('something arrives', () => target.heard.length > 0);
    await target.hears('d'.repeat(200));
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs >= 150, `it took ${tookMs} ms`);
    proxy.heal();
    const rest = 'r'.repeat(100_000);
    caller.say(rest);
    await until('the rest comes at once', () => target.heard.endsWith(rest));
  }));

test('a reset breaks off what stands and lets new connections through', () =>
  withProxy(async (scene) => {
    const { caller, target } = await scene.dial();
    caller.say('before');
    await target.hears('before');
    scene.proxy.reset();
    await until('both ends are broken', () => caller.brokenBy === 'ECONNRESET' && target.brokenBy === 'ECONNRESET');
    await exchange(scene);
  }));

test('where nobody listens the caller is broken off', async () => {
  const nobody = createServer().listen({ port: 0, host: '127.0.0.1' });
  await once(nobody, 'listening');
  const { port } = nobody.address() as AddressInfo;
  nobody.close();
  const proxy = await LinkProxy.to(port);
  const caller = new End(connect({ port: proxy.port, host: '127.0.0.1' }));
  await until('the caller is broken off', () => caller.brokenBy === 'ECONNRESET');
  await proxy.close();
});

test('whatever the weather does, nothing is lost, changed or overtaken', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.constantFrom('cut', 'heal', 'delay', 'drip'), fc.integer({ min: 1, max: 70_000 })), {
        maxLength: 12,
      }),
      (steps) =>
        withProxy(async ({ proxy, dial }) => {
          const { caller, target } = await dial();
          let said = '';
          for (const step of steps) {
            if (step === 'cut') proxy.cut();
            else if (step === 'delay') proxy.delay(3);
            else if (step === 'drip') proxy.drip(2_000_000);
            else if (step === 'heal') proxy.heal();
            else {
              const text = String.fromCharCode(33 + (said.length % 90)).repeat(Number(step));
              said += text;
              caller.say(text);
            }
            await new Promise(setImmediate);
          }
          caller.socket.end();
          proxy.heal();
          await target.hears(said);
          await until('the end is heard of', () => target.ended);
        }),
    ),
    { numRuns: 25 },
  ));
