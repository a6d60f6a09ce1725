// A three-node cluster of the built server in a scratch folder, for the benchmarks beside this file.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const COMMAND = fileURLToPath(new URL('../cli/flotilla.cjs', import.meta.url));

export async function startCluster({ portBase = 7200, serverArguments = [] } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'flotilla-bench-'));
  const ports = [0, 1, 2].map((offset) => portBase + offset);
  const hosts = ports.map((port) => `127.0.0.1:${port}`);
  const start = (position) => {
    const peers = hosts.filter((_, other) => other !== position).flatMap((host) => ['--peer-addr', host]);
    const log = openSync(join(directory, `node-${position + 1}.log`), 'a');
    return spawn(
      process.execPath,
      [
        COMMAND,
        '-d',
        directory,
        '-p',
        String(ports[position]),
        '--actor-id',
        String(position + 1),
        ...peers,
        ...serverArguments,
      ],
      { stdio: ['ignore', log, log] },
    );
  };
  const children = ports.map((_, position) => start(position));
  // Where a node can't start, another cluster may be ready on its port, and would be measured.
  const failed = children.map((child, position) =>
    once(child, 'exit').then(() => Promise.reject(new Error(`node ${position + 1} did not start; see ${directory}`))),
  );
  await Promise.race([Promise.all(ports.map((port) => untilReady(port + 1000))), ...failed]);
  for (const failure of failed) failure.catch(() => undefined);
  return {
    hosts,
    children,
    directory,
    restart(position) {
      children[position] = start(position);
    },
    async stop() {
      for (const child of children) child.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export async function untilReady(httpPort, timeoutMs = 30_000) {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    const response = await fetch(`http://127.0.0.1:${httpPort}/readyz`).catch(() => undefined);
    if (response?.ok) return;
    await sleep(50);
  }
  throw new Error(`port ${httpPort} did not become ready`);
}
