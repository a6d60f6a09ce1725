/**
 * The example that `npm start` runs, as its readme and its own last words say. Needs dist: `npm test` builds it first.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as v from 'valibot';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const SCRIPT = join(ROOT, 'cluster-examples/three-nodes/start.mjs');
const { bin } = v.parse(
  v.object({ bin: v.object({ flotilla: v.string() }) }),
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')),
);
const COMMAND = join(ROOT, bin.flotilla);
const DEADLINE_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'flotilla-example-'));
const running = new Set<Example>();
after(async () => {
  for (const example of running) example.process.kill('SIGKILL');
  await Promise.all([...running].map((example) => example.nodesGone()));
  rmSync(folder, { recursive: true, force: true });
});

test('the example starts, takes events in, gives them out at every node, stops, and finds them again', async () => {
  const portBase = await freePortBase();
  const dataDir = join(folder, 'kept');
  const first = await Example.start(portBase, dataDir);
  for (const port of [portBase, portBase + 1, portBase + 2])
    assert.equal((await fetch(`http://127.0.0.1:${port + 1000}/readyz`)).status, 200);
  const produced = await flotilla('produce', '-p', String(portBase), '-n', '/hello', '-d', 'ahoy');
  assert.equal(produced, '0000000000000000000100001\nSuccessfully produced 1 events to /hello\n');
  const shown = '\nEventId: 0000000000000000000100001\nNamespace: /hello\nahoy\n';
  for (const port of [portBase, portBase + 1, portBase + 2])
    assert.equal(await flotilla('consume', '-p', String(port)), shown);
  assert.match(first.output, /^ {2}npx flotilla cluster status .*# who leads/m);
  assert.match(await (await fetch(`http://127.0.0.1:${portBase + 1000}/metrics`)).text(), /^flotilla_/m);

  first.process.kill('SIGINT');
  // npm hands on what the terminal has delivered already.
  first.process.kill('SIGINT');
  assert.equal(await first.ended(), 0, first.output);
  assert.match(first.output, /Stopping all nodes[\s\S]*All nodes have stopped/);
  await first.nodesGone();

  const second = await Example.start(portBase, dataDir);
  assert.equal(await flotilla('consume', '-p', String(portBase + 1)), shown);
  second.process.kill('SIGTERM');
  assert.equal(await second.ended(), 0, second.output);
});

test('no node outlives a launcher that is killed', async () => {
  const example = await Example.start(await freePortBase(), join(folder, 'killed'));
  assert.equal(example.nodePids().length, 3);
  example.process.kill('SIGKILL');
  await example.ended();
  await example.nodesGone();
});

test('a killed node is reported, with the command that brings it back; the others go on', async () => {
  const portBase = await freePortBase();
  const example = await Example.start(portBase, join(folder, 'one-lost'));
  process.kill(example.nodePid(2), 'SIGKILL');
  await example.says(/Node 2 ended, by SIGKILL[\s\S]*other two go on[\s\S]*npx flotilla serve .* --actor-id 2 /);
  assert.match(
    await flotilla('produce', '-p', String(portBase), '-n', '/after', '-d', 'the loss'),
    /Successfully produced 1 events to \/after/,
  );
  example.process.kill('SIGTERM');
  assert.equal(await example.ended(), 0, example.output);
  await example.nodesGone();
});

test('a taken port is named before anything starts', async () => {
  const portBase = await freePortBase();
  const server = createServer().listen(portBase + 1, '127.0.0.1');
  await once(server, 'listening');
  const example = new Example(portBase, join(folder, 'taken'));
  assert.equal(await example.ended(), 1);
  server.close();
  assert.match(example.output, new RegExp(`^error: port ${portBase + 1} is taken: .*--port-base; .*--data-dir\\n$`));
});

class Example {
  readonly process: ChildProcess;
  output = '';
  readonly #closed: Promise<unknown>;

  constructor(portBase: number, dataDir: string) {
    this.process = spawn(process.execPath, [SCRIPT, '--data-dir', dataDir, '--port-base', String(portBase)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    this.#closed = once(this.process, 'close');
    running.add(this);
  }

  static async start(portBase: number, dataDir: string): Promise<Example> {
    const example = new Example(portBase, dataDir);
    await example.says(/The cluster is ready/);
    return example;
  }

  async says(words: RegExp): Promise<void> {
    await until(
      () => words.test(this.output) || this.process.exitCode !== null,
      () => this.output,
    );
    assert.match(this.output, words);
  }

  async ended(): Promise<number | null> {
    await this.#closed;
    running.delete(this);
    return this.process.exitCode;
  }

  nodePids(): number[] {
    return [...this.output.matchAll(/is ready \(process (\d+)\)/g)].map((found) => Number(found[1]));
  }

  nodePid(actor: number): number {
    return Number(new RegExp(`Node ${actor} is ready \\(process (\\d+)\\)`).exec(this.output)?.[1]);
  }

  async nodesGone(): Promise<void> {
    await until(
      () => !this.nodePids().some(isRunning),
      () => `nodes live on: ${this.nodePids().filter(isRunning).join(', ')}\n${this.output}`,
    );
  }
}

async function flotilla(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, ...args], { timeout: DEADLINE_MS });
  return stdout;
}

async function until(condition: () => boolean, state: () => string): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!condition()) {
    assert.ok(Date.now() < deadline, state());
    await sleep(20);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Three free neighbours whose HTTP ports are free too, outside the range that the system hands out. */
async function freePortBase(): Promise<number> {
  for (let base = 20_000 + (process.pid % 1000) * 10; base < 31_000; base += 10) {
    const ports = [0, 1, 2].flatMap((offset) => [base + offset, base + offset + 1000]);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error('no free ports');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = new Promise<boolean>((done) =>
    server.once('listening', () => done(true)).once('error', () => done(false)),
  );
  server.listen(port, '127.0.0.1');
  const free = await listening;
  if (free) await new Promise((done) => server.close(done));
  return free;
}
