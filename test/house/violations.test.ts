/**
 * Checks that bite: a small tree under the house's own settings, a violation
 * planted in it, and the check that must see it.
 */
import assert from 'node:assert/strict';
import { type ExecFileException, execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as rules from './tidy-rules.js';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const SETTINGS = ['package.json', 'tsconfig.json', 'tsconfig.pure.json', 'biome.json', '.dependency-cruiser.cjs'];

/** A house in good order. */
const CLEAN: Readonly<Record<string, string>> = {
  'src/base/index.ts': "export * from './limits.js';\n",
  'src/base/limits.ts': 'export const LIMITS = { queueLength: 10 };\n',
  'src/event/index.ts': "import { LIMITS } from '../base/index.js';\n\nexport const capacity = LIMITS.queueLength;\n",
  'src/raft/index.ts':
    "export { capacity } from '../event/index.js';\nexport const birth = (timestampMs: number): Date => new Date(timestampMs);\n",
  'src/wire/index.ts': "import { Packr } from 'msgpackr';\n\nexport const packr = new Packr();\n",
  'src/rpc/index.ts': "export { Server } from '@grpc/grpc-js';\n",
  'src/replica/index.ts': "export { capacity } from '../raft/index.js';\n",
  'src/storage/index.ts':
    "import { readFile } from 'node:fs/promises';\nimport { capacity } from '../replica/index.js';\n\n" +
    'export async function load(path: string): Promise<number> {\n  return (await readFile(path)).byteLength + capacity;\n}\n',
  'src/client/index.ts': "export { packr } from '../wire/index.js';\n",
  'src/node/index.ts': "export { load } from '../storage/index.js';\n",
  'cli/main.ts': "import { load } from '../src/node/index.js';\n\nexport const bytes = await load('/dev/null');\n",
};

const tree = mkdtempSync(join(tmpdir(), 'flotilla-violations-'));

before(() => {
  for (const file of SETTINGS) copyFileSync(join(ROOT, file), join(tree, file));
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
  for (const [path, content] of Object.entries(CLEAN)) plant(path, content);
});
after(() => rmSync(tree, { recursive: true, force: true }));

test('the clean tree passes every check', async () => {
  assert.equal(await pureCompiler(), '');
  assert.match(await imports(), /no dependency violations found/);
  assert.match(await lint(), /No fixes applied/);
  for (const rule of [rules.impurities, rules.longFiles, rules.vagueNames, rules.foldersWithoutEntry])
    assert.deepEqual(rule(tree), []);
  assert.deepEqual([...rules.unrunTests(tree), ...rules.postponedWork(tree), ...rules.tracesOfWorkplace(tree)], []);
});

const COMPILER: Readonly<Record<string, string>> = {
  'a node: module': "import { readFileSync } from 'node:fs';\nexport const read = readFileSync;\n",
  'the process': 'export const pid = process.pid;\n',
  'a timer': 'export const timer = setTimeout(() => undefined, 1);\n',
  'a Buffer': 'export const none = Buffer.alloc(0);\n',
};
test('the pure compiler sees what Node brings', async () => {
  for (const [name, content] of Object.entries(COMPILER)) plant(`src/raft/${name.replaceAll(/\W+/g, '-')}.ts`, content);
  const output = await pureCompiler();
  for (const name of Object.keys(COMPILER)) {
    const path = `src/raft/${name.replaceAll(/\W+/g, '-')}.ts`;
    assert.ok(output.includes(`${path}(`), `${name} went unseen:\n${output}`);
    remove(path);
  }
});

/** Planted file → what it holds, and the rule that must name it. */
const IMPORTS: Readonly<Record<string, readonly [content: string, rule: string]>> = {
  'src/event/reads-disk.ts': [
    "import { readFileSync } from 'node:fs';\nexport const read = readFileSync;\n",
    'pure-imports-pure',
  ],
  'src/event/looks-up.ts': ["export { birth } from '../raft/index.js';\n", 'no-upward-import-from-src-event'],
  'src/replica/knows-storage.ts': [
    "export { load } from '../storage/index.js';\n",
    'no-upward-import-from-src-replica',
  ],
  'src/storage/knows-node.ts': [
    "import type { load } from '../node/index.js';\nexport type Load = typeof load;\n",
    'no-upward-import-from-src-storage',
  ],
  'src/storage/dials.ts': ["export { Server } from '@grpc/grpc-js';\n", 'only-src-rpc-names--grpc-grpc-js'],
  'src/rpc/packs.ts': ["export { pack } from 'msgpackr';\n", 'only-src-wire-names-msgpackr'],
  'src/node/tests-itself.ts': ["export { check } from 'fast-check';\n", 'no-development-dependency-in-production'],
  'src/rpc/by-luck.ts': ["export { Root } from 'protobufjs';\n", 'no-undeclared-package'],
  'src/node/through-the-window.ts': ["export { LIMITS } from '../base/limits.js';\n", 'enter-through-index'],
  'cli/through-the-window.ts': ["export { LIMITS } from '../src/base/limits.js';\n", 'enter-through-index'],
  'src/service/knows-grpc.ts': ["export { Server } from '../rpc/index.js';\n", 'service-without-transport'],
  'src/service/knows-http.ts': ["export { createServer } from 'node:http';\n", 'service-without-transport'],
  'src/client/knows-raft.ts': ["export { birth } from '../raft/index.js';\n", 'client-imports'],
  'src/node/uses-test-code.ts': ["export { fixture } from '../../test/fixture.js';\n", 'no-test-code-in-production'],
  'src/wire/egg.ts': [
    "import { hen } from './hen.js';\nexport const egg = (): unknown => hen;\n",
    'no-circular-import',
  ],
  'src/wire/asks-nobody.ts': ["export { nothing } from './nowhere.js';\n", 'no-unresolvable-import'],
};
test('the import rules see each planted import', async () => {
  const companions = {
    'src/wire/hen.ts': "export { egg as hen } from './egg.js';\n",
    'test/fixture.ts': 'export const fixture = 1;\n',
  };
  for (const [path, content] of Object.entries(companions)) plant(path, content);
  for (const [path, [content]] of Object.entries(IMPORTS)) plant(path, content);
  const output = await imports();
  for (const [path, [, rule]] of Object.entries(IMPORTS)) {
    assert.ok(
      output.split('\n').some((line) => line.includes(`${rule}: ${path}`)) || rule === 'no-circular-import',
      `${rule} missed ${path}:\n${output}`,
    );
    remove(path);
  }
  assert.match(output, /no-circular-import: src\/wire\/(egg|hen)\.ts/);
  for (const path of Object.keys(companions)) remove(path);
});

const LINT: Readonly<Record<string, string>> = {
  noFloatingPromises:
    "import { load } from './index.js';\n\nexport function forget(): void {\n  load('/dev/null');\n}\n",
  noMisusedPromises: "import { load } from './index.js';\n\nexport const loaded = load('/dev/null') ? 1 : 2;\n",
  noExplicitAny: 'export const anything: any = 1;\n',
  noNonNullAssertion: 'export const first = (list: string[]): string => list[0]!;\n',
  noConsole: "console.log('here');\n",
  noEnum: 'export enum Colour {\n  Red = 1,\n}\n',
  noEmptyBlockStatements: 'export function swallow(act: () => void): void {\n  try {\n    act();\n  } catch {}\n}\n',
  noDefaultExport: 'export default 1;\n',
  useNamingConvention: 'export function Start_now(): void {\n  return;\n}\n',
};
test('the linter sees what the house forbids', async () => {
  for (const [rule, content] of Object.entries(LINT)) plant(`src/storage/${rule.toLowerCase()}.ts`, content);
  plant('src/storage/badly-formatted.ts', 'export const   wide = "x"\n');
  const output = await lint();
  for (const rule of Object.keys(LINT)) {
    const path = `src/storage/${rule.toLowerCase()}.ts`;
    assert.ok(new RegExp(`${path}\\S* lint/\\w+/${rule}\\b`).test(output), `${rule} went unseen:\n${output}`);
    remove(path);
  }
  assert.match(output, /badly-formatted\.ts format/);
  remove('src/storage/badly-formatted.ts');
});

const IMPURE: Readonly<Record<string, string>> = {
  'Date.now': 'export const now = Date.now();\n',
  'the present time by Date': 'export const now = new Date();\n',
  'Math.random': 'export const dice = Math.random();\n',
  setTimeout: 'export const later = setTimeout;\n',
  async: 'export const wait = async (): Promise<void> => undefined;\n',
  await: 'export const x = await 1;\n',
  process: 'export const { pid } = process;\n',
  Buffer: 'export const bytes = Buffer.from([1]);\n',
  localeCompare: "export const order = 'a'.localeCompare('b');\n",
};
for (const [what, content] of Object.entries(IMPURE)) {
  test(`the tidy rules see ${what} in a pure folder`, () => {
    plant('src/raft/impure.ts', content);
    assert.ok(
      rules.impurities(tree).some((finding) => finding.startsWith('src/raft/impure.ts:1') && finding.endsWith(what)),
      rules.impurities(tree).join('\n'),
    );
    remove('src/raft/impure.ts');
  });
}

test('the tidy rules take no comment, string or field name for a violation', () => {
  plant(
    'src/raft/pure.ts',
    "// Date.now() and await are for others.\nexport const text = 'process.exit';\nexport const state = { process: 1 }.process;\n",
  );
  assert.deepEqual(rules.impurities(tree), []);
  remove('src/raft/pure.ts');
});

test('the tidy rules see long files, vague names, missing entries, tests that do not run and this machine', () => {
  const planted: readonly (readonly [path: string, content: string, rule: (root: string) => string[]])[] = [
    ['src/node/long.ts', 'export {};\n'.repeat(401), rules.longFiles],
    ['src/node/string-utils.ts', '', rules.vagueNames],
    ['src/helpers/index.ts', '', rules.vagueNames],
    ['src/service/service.ts', '', rules.foldersWithoutEntry],
    ['test/api/service.test.ts', `test${'.'}skip('later', () => undefined);\n`, rules.unrunTests],
    ['test/api/group.test.ts', `test('later', { ${'todo'}: true }, () => undefined);\n`, rules.unrunTests],
    ['src/node/later.ts', `// ${'TO'}DO: soon\n`, rules.postponedWork],
    ['docs/start.md', `Run ${tree}/start.\n`, rules.tracesOfWorkplace],
  ];
  for (const [path, content, rule] of planted) {
    plant(path, content);
    const findings = rule(tree);
    assert.equal(findings.length, 1, `${path}: ${findings.join('\n')}`);
    remove(path);
  }
  assert.deepEqual(rules.shellSyntax({ fine: 'tsc -p tsconfig.json --noEmit && node test/run.mjs' }), []);
  for (const script of ['a; b', 'a | b', 'a > b', 'X=$Y a', 'a & b', 'a || b', "a 'b'", 'rm *']) {
    assert.equal(rules.shellSyntax({ script }).length, 1, script);
  }
});

function plant(path: string, content: string): void {
  mkdirSync(join(tree, dirname(path)), { recursive: true });
  writeFileSync(join(tree, path), content);
}

function remove(path: string): void {
  rmSync(join(tree, path));
}

const pureCompiler = (): Promise<string> => output('tsc', '-p', 'tsconfig.pure.json', '--noEmit');
const imports = (): Promise<string> => output('depcruise', '--config', '.dependency-cruiser.cjs', 'src', 'cli');
const lint = (): Promise<string> => output('biome', 'check', '--max-diagnostics=none', '--colors=off', 'src', 'cli');

/** Everything a tool says; that it complains is what is asked for. */
function output(tool: string, ...args: string[]): Promise<string> {
  return new Promise((done, failed) => {
    execFile(
      join(ROOT, 'node_modules/.bin', tool),
      args,
      { cwd: tree },
      (error: ExecFileException | null, stdout, stderr) => {
        if (error !== null && typeof error.code !== 'number') failed(error);
        else done(stdout + stderr);
      },
    );
  });
}
