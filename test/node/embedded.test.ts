import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  createLogging,
  createMetrics,
  type RunningNode,
  resolveConfig,
  startNode,
  unrestricted,
} from '../../src/node/index.js';

const PROGRAM = unrestricted('this program');

/** A cluster of one in this process; resolves when it serves. */
async function startHere(context: TestContext): Promise<RunningNode> {
  const dataDir = await mkdtemp(join(tmpdir(), 'flotilla-embedded-'));
  context.after(() => rm(dataDir, { recursive: true, force: true }));
  const flags = { 'data-dir': dataDir, port: '0', 'http-port': '0', 'watchdog-timeout': '0', log: 'silent' };
  const resolved = await resolveConfig({ flags, env: {}, readFile: () => '' });
  assert.ok('config' in resolved, JSON.stringify(resolved));
  const { actor, logLevels: levels, logDestination: destination } = resolved.config;
  const logging = createLogging({ levels, destination, actor, onDrop: () => undefined });
  const node = await startNode(resolved.config, logging, createMetrics());
  context.after(() => node.stop('the test is over'));
  for (;;) {
    const leader = [...(node.streams?.all ?? [])][0]?.group.leader;
    if (leader !== undefined) return node;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a program that embeds a node appends and reads without a socket', async (context) => {
  const { service } = await startHere(context);
  const data = Buffer.from('hello');
  const events = ['/a', '/b', '/a'].map((namespace) => ({ namespace, data }));
  const receipt = await service.events.append(PROGRAM, { stream: '', content: { kind: 'events', events } });
  assert.deepEqual([receipt.firstId, receipt.count], [{ counter: 1, actor: 1 }, 3]);

  const got: string[] = [];
  for await (const part of service.events.read(PROGRAM, { stream: '', glob: '/a' })) {
    if (part.kind === 'events') for (const event of part.events) got.push(`${event.id.counter} ${event.namespace}`);
  }
  assert.deepEqual(got, ['1 /a', '3 /a']);
  const { signal } = new AbortController();
  const found = await service.events.get(PROGRAM, { stream: '', id: '2.1' }, signal);
  assert.deepEqual([found.namespace, Buffer.from(found.data).toString()], ['/b', 'hello']);
  const namespaces: string[] = [];
  for await (const page of service.streams.namespaces(PROGRAM, { stream: '' }, signal))
    for (const { namespace, count } of page) namespaces.push(`${namespace} ${count}`);
  assert.deepEqual(namespaces, ['/a 2', '/b 1']);
  assert.equal((await service.streams.show(PROGRAM, '')).events, 3);
  assert.deepEqual(
    (await service.cluster.status(PROGRAM)).nodes.map(({ role }) => role),
    ['leader'],
  );
});

test('a tail is ended by leaving its loop, and a read by its signal', async (context) => {
  const { service } = await startHere(context);
  const append = (namespace: string): Promise<unknown> =>
    service.events.append(PROGRAM, {
      stream: '',
      content: { kind: 'events', events: [{ namespace, data: Buffer.alloc(0) }] },
    });
  await append('/before');
  const seen: string[] = [];
  for await (const part of service.events.read(PROGRAM, { stream: '', tail: true })) {
    if (part.kind === 'caught-up') void append('/after');
    if (part.kind === 'events') seen.push(...part.events.map(({ namespace }) => namespace));
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, ['/before', '/after']);
  const stop = new AbortController();
  const reading = (async () => {
    for await (const part of service.events.read(PROGRAM, { stream: '', tail: true }, stop.signal))
      if (part.kind === 'caught-up') stop.abort();
  })();
  await assert.rejects(reading, { code: 'CANCELLED' });
});
