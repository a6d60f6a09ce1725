import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { withCluster, withReadyCluster } from '../support/cluster.js';
import { CommandProcess, killCommands, ROOT } from '../support/command-process.js';
import { freeNeighbours } from '../support/free-ports.js';
import { RecordedProducers } from '../support/recorded-producers.js';
import { until } from '../support/until.js';

/** The contract: a node that is asked to stop is gone within this time. */
const STOP_MS = 10_000;

test(
  'SIGTERM to the leader under load: it ends with 0 in time, its leadership is handed over, the client goes on, ' +
    'nothing has an unknown outcome',
  withReadyCluster({}, async (cluster, context) => {
    const client = cluster.client();
    const gaps = new Gaps();
    const producers = new RecordedProducers(
      async (event) => {
        const receipt = await client.produce(event);
        gaps.mark();
        return receipt;
      },
      { workers: 8 },
    );
    for (let round = 0; round < 3; round++) {
      await producers.progress(100);
      const leader = await cluster.leader();
      gaps.begin();
      const logged = statSync(leader.logPath).size;
      const startedMs = performance.now();
      const exit = await leader.kill('SIGTERM');
      const tookMs = Math.round(performance.now() - startedMs);
      assert.deepEqual(exit, { code: 0, signal: null }, leader.lastLogLines());
      assert.ok(tookMs < STOP_MS, `it took ${tookMs} ms`);
      const next = await cluster.leader();
      assert.notEqual(next, leader);
      await producers.progress(100);
      context.diagnostic(`stopped after ${tookMs} ms; longest gap between acknowledgements ${gaps.longestMs} ms`);
      const [, afterSignal = ''] = readFileSync(leader.logPath, 'utf8').slice(logged).split('"msg":"stopping"');
      assert.match(afterSignal, /"role":"follower"/, 'it saw its successor stand before it ended');
      leader.start();
      await cluster.ready();
    }
    await producers.stop();
    producers.verify(await cluster.equalDumps());
    assert.equal(producers.refused.size + producers.unknown.size, 0, 'a polite stop leaves no outcome unknown');
  }),
);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(
    `${signal} while the cluster is forming ends a node with 0`,
    withCluster({}, async (cluster) => {
      const node = cluster.node(1);
      node.start();
      await until('it listens', async () => (await node.readiness())?.status === 503);
      assert.deepEqual(await node.kill(signal), { code: 0, signal: null }, node.lastLogLines());
    }),
  );
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`${signal} to npm start leaves no orphan`, async (context) => {
    const port = await freeNeighbours(3);
    await leavesNoOrphan(
      context,
      signal,
      (dataDir) => ['npm', 'start', '--', '--data-dir', dataDir, '--port-base', String(port)],
      [port, port + 1, port + 2],
    );
  });
  test(`${signal} to npx flotilla leaves no orphan`, async (context) => {
    const port = await freeNeighbours(1);
    await leavesNoOrphan(context, signal, (dataDir) => ['npx', 'flotilla', '-d', dataDir, '-p', String(port)], [port]);
  });
}

test('SIGTERM to npx flotilla consume --tail leaves no orphan', async (context) => {
  const mark = `/orphan-${process.pid}`;
  await withReadyCluster({ nodes: 1 }, async (cluster) => {
    const { port } = cluster.node(1);
    const launcher = new CommandProcess('npx', ['flotilla', 'consume', '-p', String(port), '-n', mark, '--tail'], {
      cwd: ROOT,
    });
    context.after(killCommands);
    assert.equal((await cluster.command(cluster.node(1), ['produce', '-n', mark, '-d', 'ahoy'])).code, 0);
    await until('it follows', () => launcher.stdout.includes('ahoy'), { state: () => launcher.stderr });
    launcher.kill('SIGTERM');
    await until('all processes are gone', () => processesOn(mark).length === 0, {
      state: () => processesOn(mark).join('\n'),
    });
  })(context);
});

async function leavesNoOrphan(
  context: TestContext,
  signal: 'SIGTERM' | 'SIGKILL',
  commandLine: (dataDir: string) => readonly string[],
  ports: readonly number[],
): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'flotilla-launched-'));
  context.after(async () => {
    await killCommands();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const [program = '', ...args] = commandLine(dataDir);
  const launcher = new CommandProcess(program, args, { cwd: ROOT });
  const state = (): string => `${launcher.stdout}${launcher.stderr}\n${processesOn(dataDir).join('\n')}`;
  for (const port of ports) await until(`the node on port ${port} is ready`, () => isReady(port), { state });
  // The nodes, at least, can be told by their data directory.
  assert.ok(processesOn(dataDir).length >= ports.length, state());
  launcher.kill(signal);
  await until('all processes are gone', () => processesOn(dataDir).length === 0, { state });
}

async function isReady(port: number): Promise<boolean> {
  try {
    return (
      (await fetch(`http://127.0.0.1:${port + 1000}/readyz`, { signal: AbortSignal.timeout(2000) })).status === 200
    );
  } catch {
    return false;
  }
}

/** The command lines of all processes that name this directory or namespace. */
function processesOn(mark: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const line = readFileSync(join('/proc', pid, 'cmdline'), 'utf8').replaceAll('\0', ' ');
        return line.includes(mark) ? [`${pid} ${line}`] : [];
      } catch {
        // It ended meanwhile.
        return [];
      }
    });
}

/** The longest time without an acknowledgement since it was asked to watch. */
class Gaps {
  longestMs = 0;
  private lastMs = performance.now();

  begin(): void {
    this.longestMs = 0;
    this.lastMs = performance.now();
  }

  mark(): void {
    const nowMs = performance.now();
    this.longestMs = Math.max(this.longestMs, Math.round(nowMs - this.lastMs));
    this.lastMs = nowMs;
  }
}
