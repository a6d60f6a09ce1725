/** Since when what comes in at a server was sent: what was held up on its way is as old as it is. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { RpcClient } from '../../src/rpc/index.js';
import { proto } from '../../src/wire/index.js';
import { LinkProxy } from '../support/link-proxy.js';
import { until } from '../support/until.js';
import { appendRequest, appendResponse, startFixture } from './rpc-fixture.js';

/** A client that calls through a proxy, and the times that its calls were told to be sent after. */
async function throughProxy(context: TestContext): Promise<{
  readonly proxy: LinkProxy;
  readonly call: () => Promise<unknown>;
  readonly times: number[];
}> {
  const times: number[] = [];
  const { address } = await startFixture(context, {
    append: async (_request, { sentAfterMs }) => {
      times.push(sentAfterMs);
      return appendResponse('1.1');
    },
  });
  const proxy = await LinkProxy.to(Number(address.split(':')[1]));
  const client = new RpcClient(proto.EventServiceDefinition, `127.0.0.1:${proxy.port}`);
  context.after(async () => {
    client.close();
    await proxy.close();
  });
  return { proxy, times, call: () => client.unary('append', appendRequest('')) };
}

test('a call is sent after its connection began, and after the last ping that was answered', async (context) => {
  const beforeMs = performance.now();
  const { call, times } = await throughProxy(context);
  await call();
  const [first = 0] = times;
  assert.ok(first > beforeMs && first < performance.now());
  await until('a later call is known to be sent later', async () => {
    await call();
    return (times.at(-1) ?? 0) > first;
  });
  assert.ok((times.at(-1) ?? 0) < performance.now());
});

test('a call that was held up on its way is as old as when it was sent', async (context) => {
  const { proxy, call, times } = await throughProxy(context);
  await call();
  proxy.cut();
  const cutMs = performance.now();
  const late = call();
  await until('time has passed', () => performance.now() > cutMs + 300);
  proxy.heal();
  await late;
  assert.ok((times.at(-1) ?? cutMs) < cutMs);
});
