/**
 * Checks that bite: a small tree under the house's own settings, a violation
 * planted in it, and the check that must see it.
 */
import assert from 'node:assert/strict';
import { type ExecFileException, execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import * as v from 'valibot';
import { plantedTree } from './planted-tree.js';
import { callbacksIntoDecisions, impurities } from './pure-rules.js';
import * as rules from './tidy-rules.js';

const { root: ROOT, tree, plant, remove } = plantedTree();

test('the clean tree passes every check', async () => {
  plant('test/fixture.ts', 'export const fixture = 1;\n');
  assert.equal(await pureCompiler(), '');
  assert.match(await imports(), /no dependency violations found/);
  assert.match(await lint(), /No fixes applied/);
  remove('test/fixture.ts');
  for (const rule of [
    impurities,
    callbacksIntoDecisions,
    rules.longFiles,
    rules.wideLines,
    rules.vagueNames,
    rules.foldersWithoutEntry,
  ])
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
  'src/group/knows-storage.ts': ["export { load } from '../storage/index.js';\n", 'no-upward-import-from-src-group'],
  'src/storage/knows-node.ts': [
    "import type { load } from '../node/index.js';\nexport type Load = typeof load;\n",
    'no-upward-import-from-src-storage',
  ],
  'src/storage/dials.ts': ["export { Server } from '@grpc/grpc-js';\n", 'only-src-rpc-names--grpc-grpc-js'],
  'src/storage/log/by-the-side-door.ts': [
    "export { sealed } from '../segment/sealed.js';\n",
    'enter-storage-folders-through-index',
  ],
  'src/storage/knows-machine.ts': ["export { applied } from '../machine/index.js';\n", 'storage-knows-no-machine'],
  'src/node/loads-tools.ts': ["export { inspect } from '../offline/index.js';\n", 'only-tools-load-offline'],
  'cli/serve-with-tools.ts': ["export { inspect } from './inspect.js';\n", 'only-tools-load-offline'],
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
  'src/wire/tail.ts': [
    "import type { Head } from './head.js';\nexport interface Tail {\n  readonly head: Head | undefined;\n}\n",
    'no-circular-import',
  ],
  'src/group/lagging.ts': ["export { lag } from './storage.js';\n", 'group-stands-alone'],
  'test/group/lag.test.ts': ["export { lag } from '../../src/group/lagging.js';\n", 'group-stands-alone'],
  'src/wire/asks-nobody.ts': ["export { nothing } from './nowhere.js';\n", 'no-unresolvable-import'],
};
test('the import rules see each planted import', async () => {
  const companions = {
    'src/wire/hen.ts': "export { egg as hen } from './egg.js';\n",
    'src/storage/segment/sealed.ts': 'export const sealed = true;\n',
    'cli/inspect.ts': "export { inspect } from '../src/offline/index.js';\n",
    'src/wire/head.ts': "import type { Tail } from './tail.js';\nexport interface Head {\n  readonly tail: Tail;\n}\n",
    'src/group/storage.ts': "export { lag } from '../storage/lag.js';\n",
    'src/storage/lag.ts': "export { lag } from '../stream/index.js';\n",
    'src/stream/index.ts': 'export const lag = 1;\n',
    'test/fixture.ts': 'export const fixture = 1;\n',
  };
  for (const [path, content] of Object.entries(companions)) plant(path, content);
  for (const [path, [content]] of Object.entries(IMPORTS)) plant(path, content);
  const output = await imports();
  for (const [path, [, rule]] of Object.entries(IMPORTS)) {
    const isSeen = output.split('\n').some((line) => line.includes(`${rule}: ${path}`));
    // A cycle is told of once, from whichever of its modules comes first.
    assert.ok(isSeen || rule === 'no-circular-import', `${rule} missed ${path}:\n${output}`);
    remove(path);
  }
  assert.match(output, /no-circular-import: src\/wire\/(egg|hen)\.ts/);
  assert.match(output, /no-circular-import: src\/wire\/(head|tail)\.ts/);
  for (const path of Object.keys(companions)) remove(path);
});

/** The rules that the settings make of their lists, as far as a planted import needs them. */
const RULES = v.parse(
  v.object({
    forbidden: v.array(
      v.object({
        name: v.string(),
        from: v.object({ path: v.optional(v.union([v.string(), v.array(v.string())])) }),
        to: v.object({ path: v.optional(v.union([v.string(), v.array(v.string())])) }),
      }),
    ),
  }),
  createRequire(import.meta.url)('../../.dependency-cruiser.cjs'),
).forbidden;

test('each floor sees an import from each floor above it, and from each of its neighbours', async () => {
  const layers = RULES.filter(({ name }) => /^no-(upward|sideways)-import-from-/.test(name)).map(
    ({ name, from, to }) => {
      const [floor = ''] = foldersOf(from.path);
      return { name, floor, others: foldersOf(to.path) };
    },
  );
  assert.ok(layers.length > 20, 'the rules are found by their names');
  const entries = [...new Set(layers.flatMap(({ others }) => others))].map((folder) => `${folder}/index.ts`);
  const missing = entries.filter((path) => !existsSync(join(tree, path)));
  for (const path of missing) plant(path, 'export const here = 1;\n');
  const planted = layers.flatMap(({ name, floor, others }) =>
    others.map((other, number) => ({ name, path: `${floor}/${name}-${number}.ts`, other })),
  );
  for (const { path, other } of planted)
    plant(path, `import '${relative(dirname(path), `${other}/index.js`).replace(/^(?=[^.])/, './')}';\n`);
  const output = await imports();
  for (const { name, path, other } of planted) {
    assert.ok(output.includes(`${name}: ${path}`), `${name} missed an import of ${other}:\n${output.slice(0, 2000)}`);
    remove(path);
  }
  for (const path of missing) remove(path);
});

test('a package is named only by its owner', async () => {
  const owners = RULES.filter(({ name }) => /^only-.*-names-/.test(name)).map(({ name, to }) => ({
    name,
    path: `src/machine/${name}.ts`,
    package: /node_modules\/(.*)\/$/.exec(String(to.path))?.[1] ?? '',
  }));
  assert.ok(owners.length > 10, 'the rules are found by their names');
  plant('src/machine/index.ts', '');
  for (const owner of owners) plant(owner.path, `import '${owner.package}';\n`);
  const output = await imports();
  for (const { name, path } of owners) {
    assert.ok(output.includes(`${name}: ${path}`), `${name} missed it:\n${output.slice(0, 2000)}`);
    remove(path);
  }
  remove('src/machine/index.ts');
});

/** `^src/api/` and `^(src/http|src/client)/` as folders. */
function foldersOf(path: string | readonly string[] | undefined): string[] {
  return [path ?? []]
    .flat()
    .flatMap((pattern) => pattern.replaceAll(/[\^()]|\/$/g, '').split('|'))
    .map((each) => each.replace(/\/$/, ''));
}

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

test('the tidy rules see long files, wide lines, vague names, idle tests, joined titles and this machine', () => {
  const planted: readonly (readonly [path: string, content: string, rule: (root: string) => string[]])[] = [
    ['src/node/long.ts', 'export {};\n'.repeat(401), rules.longFiles],
    ['src/raft/wide.ts', `// ${'x'.repeat(118)}\n`, rules.wideLines],
    ['src/raft/wide-text.ts', `export const text = '${'x'.repeat(100)}';\n`, rules.wideLines],
    ['src/node/string-utils.ts', '', rules.vagueNames],
    ['src/helpers/index.ts', '', rules.vagueNames],
    ['src/service/service.ts', '', rules.foldersWithoutEntry],
    ['test/api/service.test.ts', `test${'.'}skip('later', () => undefined);\n`, rules.unrunTests],
    ['test/api/group.test.ts', `test('later', { ${'todo'}: true }, () => undefined);\n`, rules.unrunTests],
    ['test/api/batch.test.ts', `test(\n  '${'append'}_refusesGaps', () => undefined);\n`, rules.joinedTitles],
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

const pureCompiler = (): Promise<string> => output('tsc', '-p', 'tsconfig.pure.json', '--noEmit');
const imports = (): Promise<string> => output('depcruise', '--config', '.dependency-cruiser.cjs', 'src', 'cli', 'test');
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
