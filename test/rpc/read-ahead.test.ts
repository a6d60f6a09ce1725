import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { LIMITS } from '../../src/base/index.js';
import { readRequest } from '../support/read-request.js';
import { type Fixture, readResponse, startFixture } from './rpc-fixture.js';

/** A server of messages of that size, and how many it has handed to the connection: a few more than that has taken. */
async function startSender(
  context: TestContext,
  messages: number,
  bytes: number,
): Promise<Fixture & { sent: () => number }> {
  const message = readResponse(Buffer.alloc(bytes));
  let sent = 0;
  const fixture = await startFixture(context, {
    read: async (_request, stream) => {
      while (sent < messages) {
        const pending = stream.send(message);
        sent++;
        await pending;
      }
    },
  });
  return { ...fixture, sent: () => sent };
}

async function untilStill(count: () => number): Promise<number> {
  for (let before = -1; before !== count(); ) {
    before = count();
    for (let turns = 0; turns < 500; turns++) await turn();
  }
  return count();
}

test('a stream that is not read holds one large message and a window, not sixteen messages', async (context) => {
  const { client, sent } = await startSender(context, 60, 4 * 1024 * 1024);
  const call = client.serverStream('read', readRequest());
  const iterator = call[Symbol.asyncIterator]();
  assert.equal((await iterator.next()).done, false);
  // One was taken, one is here and not taken; of the third some may lie in the window.
  const ahead = (await untilStill(sent)) - LIMITS.unsentMessagesPerStream;
  assert.ok(ahead <= 4, `${ahead} messages of 4 MiB came to a reader that took one`);
  let rest = 0;
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) break;
    rest++;
  }
  assert.equal(rest, 59);
  assert.equal(await call.ended, undefined);
});

test('small messages are fetched ahead of a slow receiver, up to some bytes', async (context) => {
  const bytes = 16 * 1024;
  const { client, sent } = await startSender(context, 2000, bytes);
  const call = client.serverStream('read', readRequest());
  let seen = 0;
  let goOn: () => void = () => undefined;
  const received = call.receive(() => {
    seen++;
    if (seen > 1) return undefined;
    return new Promise<void>((resolve) => {
      goOn = resolve;
    });
  });
  const ahead = await untilStill(sent);
  assert.ok(
    ahead > 100 && ahead * bytes < LIMITS.readWindowBytes + 2 * LIMITS.readAheadBytes,
    `${ahead} messages were sent`,
  );
  goOn();
  await received;
  assert.equal(seen, 2000);
});
