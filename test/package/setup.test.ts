/**
 * scripts/setup.mjs in a small checkout whose npm and compiler are stand-ins
 * that note how they were called. The real ones are in pack.test.ts.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));

const LOCKFILE = {
  packages: {
    '': {},
    'node_modules/one': { version: '1.0.0', integrity: 'sha512-1' },
    'node_modules/esbuild': { version: '0.28.0', integrity: 'sha512-4', dev: true },
    'node_modules/typescript': { version: '6.0.0', integrity: 'sha512-2', dev: true },
    'node_modules/other-platform': { version: '1.0.0', integrity: 'sha512-3', optional: true, os: ['plan9'] },
  },
};

/**
 * Notes its arguments, waits while `hold` exists, then "installs": every package that is not optional, a compiler and a
 * bundler.
 */
const NPM = `
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
appendFileSync('npm.log', process.argv.slice(2).join(' ') + '\\n');
if (existsSync('offline')) { console.error('npm error: no network'); process.exit(1); }
while (existsSync('hold')) await new Promise((resolve) => setTimeout(resolve, 20));
const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const installed = Object.entries(packages).filter(([path, entry]) => path !== '' && !entry.optional);
mkdirSync('node_modules/typescript/bin', { recursive: true });
writeFileSync('node_modules/typescript/bin/tsc', readFileSync('compiler.cjs'));
mkdirSync('node_modules/esbuild/lib', { recursive: true });
writeFileSync('node_modules/esbuild/lib/main.js', readFileSync('bundler.cjs'));
writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages: Object.fromEntries(installed) }));
`;

/** "Compiles" each source to a file of its name; one that holds \`wrong\` is an error. */
const COMPILER = `
const { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } = require('node:fs');
appendFileSync('tsc.log', 'compiled\\n');
const out = process.argv[process.argv.indexOf('--outDir') + 1];
for (const folder of ['src', 'cli']) {
  mkdirSync(out + '/' + folder, { recursive: true });
  for (const name of readdirSync(folder)) {
    const text = readFileSync(folder + '/' + name, 'utf8');
    if (text.includes('wrong')) { console.error(name + ' is wrong'); process.exit(2); }
    writeFileSync(out + '/' + folder + '/' + name.replace('.ts', '.js'), text, { mode: 0o644 });
  }
}
`;

/** "Bundles" by copying. */
const BUNDLER = `
const { cpSync } = require('node:fs');
exports.build = async ({ entryPoints: [entry], outdir }) => cpSync(entry, outdir + '/main.js');
`;

test('a fresh checkout is installed, built and executable; the next start has nothing to do', async (context) => {
  const checkout = new Checkout(context);
  const first = await checkout.setup();
  assert.equal(first.code, 0, first.output);
  assert.match(first.output, /installing[\s\S]*building[\s\S]*ready/);
  assert.deepEqual(checkout.calls('npm'), ['ci --include=dev --ignore-scripts --no-audit --no-fund --loglevel=error']);
  assert.equal(statSync(checkout.path('dist/bin/main.js')).mode & 0o111, 0o111);
  const second = await checkout.setup();
  assert.deepEqual(second, { code: 0, output: '' });
  assert.equal(checkout.calls('npm').length, 1);
  assert.equal(checkout.calls('tsc').length, 1);
  assert.ok(!existsSync(checkout.path('.setup/lock')));
});

test('nothing is fetched where everything is installed: it works without a network', async (context) => {
  const checkout = await Checkout.ready(context);
  checkout.write('offline', '');
  checkout.write('src/new.ts', 'new');
  assert.equal((await checkout.setup()).code, 0);
  assert.equal(checkout.calls('npm').length, 1);
});

test('a changed, a new and a removed source are each built, and what has no source is gone', async (context) => {
  const checkout = await Checkout.ready(context);
  for (const [change, builds] of [
    [() => checkout.write('src/index.ts', 'changed'), 2],
    [() => checkout.write('src/more.ts', 'more'), 3],
    [() => rmSync(checkout.path('src/more.ts')), 4],
  ] as const) {
    change();
    assert.equal((await checkout.setup()).code, 0);
    assert.equal(checkout.calls('tsc').length, builds);
  }
  assert.equal(readFileSync(checkout.path('dist/src/index.js'), 'utf8'), 'changed');
  assert.ok(!existsSync(checkout.path('dist/src/more.js')));
  assert.equal(checkout.calls('npm').length, 1);
});

test('what is not as the lockfile says is installed again', async (context) => {
  const checkout = await Checkout.ready(context);
  const installed = { ...LOCKFILE.packages };
  const { 'node_modules/typescript': _compiler, ...withoutDevelopment } = installed;
  const states: readonly unknown[] = [
    { packages: withoutDevelopment },
    { packages: { ...installed, 'node_modules/one': { version: '0.9.0', integrity: 'sha512-0' } } },
    { packages: { ...installed, 'node_modules/stranger': { version: '1.0.0' } } },
    undefined,
  ];
  for (const [position, state] of states.entries()) {
    if (state === undefined) rmSync(checkout.path('node_modules/.package-lock.json'));
    else checkout.write('node_modules/.package-lock.json', JSON.stringify(state));
    assert.equal((await checkout.setup()).code, 0);
    assert.equal(checkout.calls('npm').length, position + 2, JSON.stringify(state));
  }
});

test('a failed installation says so, and the next start tries again', async (context) => {
  const checkout = new Checkout(context);
  checkout.write('offline', '');
  const failed = await checkout.setup();
  assert.equal(failed.code, 1);
  assert.match(failed.output, /npm error: no network[\s\S]*npm ci failed/);
  assert.ok(!/\n\s+at /.test(failed.output), failed.output);
  rmSync(checkout.path('offline'));
  assert.equal((await checkout.setup()).code, 0);
});

test('a failed build leaves the last one standing', async (context) => {
  const checkout = await Checkout.ready(context);
  checkout.write('src/index.ts', 'wrong');
  const failed = await checkout.setup();
  assert.equal(failed.code, 1);
  assert.match(failed.output, /index\.ts is wrong[\s\S]*the build failed/);
  assert.equal(readFileSync(checkout.path('dist/src/index.js'), 'utf8'), 'index');
  assert.ok(!existsSync(checkout.path('.setup/lock')));
});

test('two starts at once install once; the second waits and finds the work done', async (context) => {
  const checkout = new Checkout(context);
  checkout.write('hold', '');
  const first = checkout.start();
  await until(() => checkout.calls('npm').length === 1);
  const second = checkout.start();
  await until(() => second.output().includes('waiting for another setup'));
  rmSync(checkout.path('hold'));
  assert.deepEqual([await first.ended, await second.ended], [0, 0]);
  assert.equal(checkout.calls('npm').length, 1);
  assert.equal(checkout.calls('tsc').length, 1);
});

test('the lock of a dead process is taken over', async (context) => {
  const checkout = new Checkout(context);
  checkout.write('hold', '');
  const killed = checkout.start();
  await until(() => checkout.calls('npm').length === 1);
  killed.process.kill('SIGKILL');
  await killed.ended;
  // Its npm lives on, and what it does to node_modules must not be done twice at once.
  const next = checkout.start();
  await until(() => next.output().includes('waiting for another setup'));
  rmSync(checkout.path('hold'));
  assert.equal(await next.ended, 0, next.output());
});

test("the number of a dead owner's process may have been given to another", async (context) => {
  const checkout = new Checkout(context);
  checkout.write(
    '.setup/lock',
    JSON.stringify({ host: hostname(), processes: [{ pid: process.pid, started: 'before this one' }] }),
  );
  assert.equal((await checkout.setup()).code, 0);
});

test('a signal ends the installation under way and gives the lock back', async (context) => {
  const checkout = new Checkout(context);
  checkout.write('hold', '');
  const setup = checkout.start();
  await until(() => checkout.calls('npm').length === 1);
  setup.process.kill('SIGTERM');
  assert.equal(await setup.ended, 'SIGTERM');
  assert.ok(!existsSync(checkout.path('.setup/lock')));
  rmSync(checkout.path('hold'));
  assert.ok(!existsSync(checkout.path('node_modules')), 'npm went on');
  assert.equal((await checkout.setup()).code, 0);
});

interface Started {
  readonly process: ChildProcess;
  /** Everything said so far. */
  readonly output: () => string;
  /** Exit code or signal. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

class Checkout {
  readonly #folder = mkdtempSync(join(tmpdir(), 'flotilla-setup-'));

  constructor(context: TestContext) {
    context.after(() => rmSync(this.#folder, { recursive: true, force: true }));
    cpSync(join(ROOT, 'scripts'), this.path('scripts'), { recursive: true });
    this.write('package.json', '{"type":"module","bin":{"flotilla":"dist/bin/main.js"}}');
    this.write('package-lock.json', JSON.stringify(LOCKFILE));
    this.write('tsconfig.json', '{}');
    this.write('tsconfig.build.json', '{}');
    this.write('npm/npm-cli.js', NPM);
    this.write('compiler.cjs', COMPILER);
    this.write('bundler.cjs', BUNDLER);
    this.write('src/index.ts', 'index');
    this.write('cli/main.ts', 'main');
  }

  static async ready(context: TestContext): Promise<Checkout> {
    const checkout = new Checkout(context);
    assert.equal((await checkout.setup()).code, 0);
    return checkout;
  }

  path(relative: string): string {
    return join(this.#folder, relative);
  }

  write(relative: string, content: string): void {
    mkdirSync(dirname(this.path(relative)), { recursive: true });
    writeFileSync(this.path(relative), content);
  }

  /** How a stand-in was called, one line a call. */
  calls(tool: 'npm' | 'tsc'): string[] {
    const log = this.path(`${tool}.log`);
    return existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : [];
  }

  async setup(): Promise<{ code: number | NodeJS.Signals; output: string }> {
    const started = this.start();
    const closed = once(started.process, 'close');
    const code = await started.ended;
    await closed;
    return { code, output: started.output() };
  }

  start(): Started {
    const child = spawn(process.execPath, ['scripts/setup.mjs'], {
      cwd: this.#folder,
      env: { ...process.env, NODE_ENV: 'production', npm_execpath: this.path('npm/npm-cli.js') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const chunks: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    const ended = new Promise<number | NodeJS.Signals>((done, failed) => {
      child.once('error', failed);
      // Not `close`: a child of a killed setup holds the pipes open.
      child.once('exit', (code, signal) => done(code ?? signal ?? 'SIGKILL'));
    });
    return { process: child, output: () => Buffer.concat(chunks).toString('utf8'), ended };
  }
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'the awaited condition did not come');
    await sleep(10);
  }
}
