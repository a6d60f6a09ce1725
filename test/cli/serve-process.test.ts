import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const FIXTURE = fileURLToPath(new URL('../support/serve-fixture.ts', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'flotilla-serve-'));
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** This process may itself run below npm; the children say for themselves whether they do. */
function environment(extra: Record<string, string>): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('npm_') && !name.startsWith('NODE_TEST'));
  return { ...Object.fromEntries(own), ...extra };
}

function serve(args: readonly string[], options: { env?: Record<string, string>; ipc?: boolean } = {}) {
  const child = spawn(process.execPath, ['--import', 'tsx', FIXTURE, ...args], {
    env: environment(options.env ?? {}),
    stdio: ['ignore', 'pipe', 'pipe', ...(options.ipc ? (['ipc'] as const) : [])],
  });
  children.add(child);
  return observed(child);
}

function observed(child: ChildProcess) {
  let out = '';
  let err = '';
  let look = (): void => undefined;
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    out += part;
    look();
  });
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    err += part;
  });
  // Not 'close', which doesn't come where the IPC channel was closed from here.
  const closed = Promise.all([once(child, 'exit'), ended(child.stdout), ended(child.stderr)]).then(([[code]]) => {
    children.delete(child);
    return { code, out, err };
  });
  const saw = (message: string): Promise<void> =>
    new Promise((resolve, reject) => {
      look = () => {
        if (out.includes(`"msg":"${message}"`)) resolve();
      };
      closed.then(() => reject(new Error(`ended without ${message}: ${out}${err}`)), reject);
      look();
    });
  return { child, closed, saw };
}

async function ended(stream: Readable | null): Promise<void> {
  if (stream !== null) await finished(stream);
}

/** Starts it, waits until it is up, does something, and returns how it ended. */
async function endOf(behaviour: string, act: (child: ChildProcess) => void, message = 'up') {
  const { child, closed, saw } = serve([behaviour]);
  await saw(message);
  act(child);
  return closed;
}

describe('a server process', { concurrency: 4 }, () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    it(`stops its node at ${signal} and exits 0`, async () => {
      const { code, out, err } = await endOf('runs', (child) => child.kill(signal));
      assert.equal(code, 0, err);
      assert.match(out, new RegExp(`"reason":"${signal}","msg":"stop"`));
      assert.equal(err, '');
    });
  }

  for (const [signal, expected] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`ends at once at a second ${signal}, with ${expected}`, async () => {
      const { child, closed, saw } = serve(['stops slowly']);
      await saw('up');
      child.kill('SIGTERM');
      await saw('stop');
      child.kill(signal);
      assert.equal((await closed).code, expected);
    });
  }

  for (const [where, env, expected] of [
    ['below npm, which hands Ctrl-C on, takes the same signal twice in a row for one', { npm_execpath: '/npm' }, 0],
    ['elsewhere takes it for two', {}, 130],
  ] as const) {
    it(where, async () => {
      const { child, closed, saw } = serve(['is signalled while it stops'], { env });
      await saw('up');
      child.kill('SIGINT');
      assert.equal((await closed).code, expected);
    });
  }

  it('ends when npm is no longer its parent', async () => {
    const fixture = JSON.stringify(['--import', 'tsx', FIXTURE, 'runs']);
    const launcher = `require('node:child_process').spawn(process.execPath, ${fixture}, { stdio: 'inherit' })`;
    const child = spawn(process.execPath, ['-e', launcher], {
      env: environment({ npm_execpath: '/npm' }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { closed, saw } = observed(child);
    await saw('up');
    child.kill('SIGKILL');
    // Its standard output closes when the last process that holds it has ended: the node.
    assert.match((await closed).out, /npm, which started this node.*"msg":"stop"/);
  });

  it('ends when the IPC channel of its launcher closes', async () => {
    const { child, closed, saw } = serve(['runs'], { ipc: true });
    await saw('up');
    child.disconnect();
    const { code, out } = await closed;
    assert.equal(code, 0);
    assert.match(out, /closed its channel","msg":"stop"/);
  });

  it('does not wait for ever for a node that never comes up', async () => {
    const { code, out } = await endOf('never starts', (child) => child.kill('SIGTERM'), 'start');
    assert.equal(code, 0);
    assert.match(out, /before the node had started/);
  });

  it('tells in one line why it could not start, and exits 1', async () => {
    const { code, out, err } = await serve(['cannot start']).closed;
    assert.equal(code, 1);
    assert.equal(err, 'error: port 3000 is taken; choose another\n');
    assert.match(out, /"level":"fatal".*port 3000 is taken/);
    assert.doesNotMatch(out, /stack/);
  });

  it('adds to an error of the system what to do', async () => {
    const { code, out, err } = await serve(['may not start']).closed;
    assert.equal(code, 1);
    assert.match(err, /^error: EACCES: mkdir \/x; .*--data-dir\n$/);
    assert.doesNotMatch(out, /stack/);
  });

  it('exits 1 when its node stops by itself', async () => {
    const { code, out, err } = await serve(['fails later']).closed;
    assert.equal(code, 1);
    assert.equal(err, 'error: the node stopped: the disk failed\n');
    assert.match(out, /"level":"fatal".*the disk failed/);
  });

  for (const [behaviour, message] of [
    ['throws', 'thrown in a callback'],
    ['rejects', 'rejected unseen'],
  ] as const) {
    it(`a defect that ${behaviour} ends it at once, without an orderly stop, and logs its stack`, async () => {
      const { code, out, err } = await serve([behaviour]).closed;
      assert.equal(code, 1);
      assert.match(err, new RegExp(`^error: a defect ended the node: ${message}`));
      assert.equal(err.split('\n').length, 2);
      assert.match(out, new RegExp(`"level":"fatal".*${message}.*stack`));
      assert.doesNotMatch(out, /"msg":"stop"/);
    });
  }

  it('goes on, and stops, where nobody reads its output', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', FIXTURE, 'talks'], {
      env: environment({}),
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    children.add(child);
    const exited = once(child, 'exit');
    await once(child, 'message');
    child.kill('SIGTERM');
    assert.deepEqual((await exited)[0], 0);
  });

  it('does not let the debugger in at SIGUSR1', async () => {
    const { child, closed, saw } = serve(['runs']);
    await saw('up');
    child.kill('SIGUSR1');
    // A thread of Node's own would open the port: there is nothing to wait for where it does not.
    await new Promise((resolve) => setTimeout(resolve, 500));
    child.kill('SIGTERM');
    const { code, out, err } = await closed;
    assert.equal(code, 0, err);
    assert.match(out, /"msg":"stop"/);
    assert.equal(err, '');
  });

  it('opens its log file anew at SIGHUP and goes on', async () => {
    const file = join(directory, 'node.log');
    const { child, closed } = serve(['runs', file], { ipc: true });
    await once(child, 'message');
    renameSync(file, `${file}.1`);
    child.kill('SIGHUP');
    while (!exists(file)) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill('SIGTERM');
    assert.equal((await closed).code, 0);
    assert.match(readFileSync(file, 'utf8'), /"msg":"stop"/);
  });
});

function exists(file: string): boolean {
  try {
    readFileSync(file);
    return true;
  } catch {
    return false;
  }
}
