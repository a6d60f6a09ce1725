/** test/run.mjs itself: a runner that passes without running is the worst test there is. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const testFile = (...lines: string[]): string => ["import { test } from 'node:test';", ...lines, ''].join('\n');
const PASSES = testFile("test('passes', () => {});");
const FAILS = testFile("test('fails', () => {", "  throw new Error('on purpose');", '});');

test('one failing test fails the run, and the output ends with the summary of all', async (context) => {
  const house = plant(context, { 'test/base/good.test.ts': PASSES, 'test/cluster/bad.test.ts': FAILS });
  const { code, output } = await run(house);
  assert.equal(code, 1);
  assert.match(output, /tests 2\n.*suites 0\n.*pass 1\n.*fail 1\n/);
  assert.equal(output.match(/duration_ms/g)?.length, 1, output);
});

test('a run of passing tests exits with 0; unit leaves the slow folders out', async (context) => {
  const house = plant(context, {
    'test/base/good.test.ts': PASSES,
    'test/cluster/bad.test.ts': FAILS,
    'test/sim/bad.test.ts': FAILS,
  });
  for (const args of [['unit'], ['test/base'], ['test/base/good.test.ts']]) {
    const { code, output } = await run(house, ...args);
    assert.equal(code, 0, output);
    assert.match(output, /pass 1\n.*fail 0\n/);
  }
});

test('nothing to run is a failure: no file, an unknown path, a file without a test', async (context) => {
  const house = plant(context, { 'test/base/fixture.ts': 'export const fixture = 1;\n' });
  assert.deepEqual(await run(house), { code: 1, output: 'test: no test file found\n' });
  writeFileSync(join(house, 'test/base/empty.test.ts'), 'export const forgotten = 1;\n');
  const empty = await run(house);
  assert.equal(empty.code, 1);
  assert.match(empty.output, /no test ran in test\/base\/empty\.test\.ts/);
  const unknown = await run(house, 'test/bass');
  assert.equal(unknown.code, 1);
  assert.match(unknown.output, /test\/bass is no test file/);
});

test('files of test/cluster run one after another, after the others', async (context) => {
  const noted = testFile(
    "import { appendFileSync } from 'node:fs';",
    "import { setTimeout as sleep } from 'node:timers/promises';",
    "const note = (word) => appendFileSync('order.log', word + ' ' + import.meta.url.split('/').at(-1) + '\\n');",
    "test('is alone', async () => {",
    "  note('begin');",
    '  await sleep(100);',
    "  note('end');",
    '});',
  );
  const house = plant(context, {
    'test/wire/c.test.ts': noted,
    'test/cluster/a.test.ts': noted,
    'test/cluster/b.test.ts': noted,
  });
  assert.equal((await run(house)).code, 0);
  const order = readFileSync(join(house, 'order.log'), 'utf8').trimEnd().split('\n');
  assert.deepEqual(
    order,
    ['c', 'a', 'b'].flatMap((file) => [`begin ${file}.test.ts`, `end ${file}.test.ts`]),
  );
});

test('a signal ends the files under way, and the run fails', async (context) => {
  const waits = testFile(
    "import { writeFileSync } from 'node:fs';",
    "test('waits', async () => {",
    "  writeFileSync('pid', String(process.pid));",
    '  await new Promise((resolve) => setTimeout(resolve, 60_000));',
    '});',
  );
  const house = plant(context, { 'test/base/waits.test.ts': waits });
  const runner = start(house);
  const pid = await until(() => existsSync(join(house, 'pid')) && Number(readFileSync(join(house, 'pid'), 'utf8')));
  runner.kill('SIGTERM');
  const [code] = await once(runner, 'exit');
  assert.equal(code, 143);
  await until(() => !isRunning(pid));
});

function plant(context: TestContext, files: Readonly<Record<string, string>>): string {
  const house = mkdtempSync(join(tmpdir(), 'flotilla-runner-'));
  context.after(() => rmSync(house, { recursive: true, force: true }));
  symlinkSync(join(ROOT, 'node_modules'), join(house, 'node_modules'));
  writeFileSync(join(house, 'package.json'), '{"type":"module"}');
  mkdirSync(join(house, 'test'));
  mkdirSync(join(house, 'scripts'));
  for (const script of ['test/run.mjs', 'test/sets.mjs', 'scripts/parent.mjs'])
    copyFileSync(join(ROOT, script), join(house, script));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(house, dirname(path)), { recursive: true });
    writeFileSync(join(house, path), content);
  }
  return house;
}

function start(house: string, ...args: string[]): ChildProcess {
  return spawn(process.execPath, ['test/run.mjs', ...args], { cwd: house, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function run(house: string, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = start(house, ...args);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  await once(child, 'close');
  return { code: child.exitCode, output };
}

async function until<T>(condition: () => T | false): Promise<T> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const value = condition();
    if (value !== false) return value;
    assert.ok(Date.now() < deadline, 'the awaited condition did not come');
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
