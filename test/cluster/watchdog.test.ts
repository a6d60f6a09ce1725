import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { Cluster } from '../support/cluster.js';
import type { ClusterNode } from '../support/cluster-node.js';
import { until } from '../support/until.js';

const STAND_STILL = fileURLToPath(new URL('../support/stand-still.cjs', import.meta.url));
const TIMEOUT_MS = 2_000;

const lastLine = v.object({
  level: v.literal('fatal'),
  actor: v.literal(1),
  module: v.literal('node'),
  stack: v.optional(v.array(v.string())),
  thread: v.object({ state: v.string(), cpuMs: v.number(), kernelFunction: v.string() }),
  rssBytes: v.number(),
  msg: v.pipe(v.string(), v.regex(/^the main thread has stood still for [\d.]+ s: the watchdog ends the node$/)),
});

/** A node whose main thread stands still in that way at SIGUSR2; ready. */
async function withNode(
  way: string,
  args: readonly string[],
  body: (node: ClusterNode) => Promise<void>,
): Promise<void> {
  const cluster = await Cluster.plan({ nodes: 1, args });
  try {
    const node = cluster.node(1);
    node.program = ['--require', STAND_STILL, ...node.program];
    process.env['STAND_STILL'] = way;
    await cluster.start();
    await body(node);
  } finally {
    delete process.env['STAND_STILL'];
    await cluster.close();
  }
}

/** What its log and its standard error, which are one file, say last. */
function lastWords(node: ClusterNode): { readonly line: v.InferOutput<typeof lastLine>; readonly error: string } {
  const lines = readFileSync(node.logPath, 'utf8').trimEnd().split('\n');
  const line = lines.findLast((text) => text.startsWith('{')) ?? '';
  return {
    line: v.parse(lastLine, JSON.parse(line)),
    error: lines.findLast((text) => text.startsWith('error: ')) ?? '',
  };
}

const args = ['--watchdog-timeout', `${TIMEOUT_MS}ms`];

for (const [way, place] of [
  ['JavaScript', /^loopForEver \(file:.*stand-still\.cjs:\d+:\d+\)$/],
  ['promises', /^turnMicrotasksForEver \(file:.*stand-still\.cjs:\d+:\d+\)$/],
  ['waiting', /^waiting \(file:.*stand-still\.cjs:\d+:\d+\)$/],
  ['native', undefined],
] as const) {
  test(`a node whose main thread stands still is ended, and its log says where: ${way}`, async () => {
    await withNode(way, args, async (node) => {
      process.kill(node.pid, 'SIGUSR2');
      assert.deepEqual(await node.end(), { code: null, signal: 'SIGABRT' });
      const { line, error } = lastWords(node);
      if (place === undefined) assert.equal(line.stack, undefined);
      else assert.match(line.stack?.[0] ?? '', place);
      assert.ok(error.includes(line.msg) && error.includes(line.stack?.[0] ?? 'native code'), error);
    });
  });
}

test('a node that was paused for longer than its watchdog waits goes on', async () => {
  await withNode('briefly', args, async (node) => {
    process.kill(node.pid, 'SIGUSR2');
    await until('its main thread has work for a second', () =>
      readFileSync(node.logPath, 'utf8').includes('stands still'),
    );
    node.pause();
    // The pause itself is what is asked about: nothing can be awaited of a process that does not run.
    await sleep(2.5 * TIMEOUT_MS);
    node.resume();
    await until('the node is ready', async () => (await node.readiness())?.status === 200);
    assert.deepEqual(await node.kill('SIGTERM'), { code: 0, signal: null });
  });
});

test('a node without a watchdog stands still until it is killed', async () => {
  await withNode('JavaScript', ['--watchdog-timeout', '0'], async (node) => {
    process.kill(node.pid, 'SIGUSR2');
    await until('it does not answer', async () => (await node.readiness()) === undefined);
    assert.ok(node.running);
    assert.deepEqual(await node.kill('SIGKILL'), { code: null, signal: 'SIGKILL' });
  });
});
