/** The rules of the pure folders, each seen to catch what breaks it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plantedTree } from './planted-tree.js';
import { callbacksIntoDecisions, impurities } from './pure-rules.js';

const { tree, plant, remove } = plantedTree();

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
      impurities(tree).some((finding) => finding.startsWith('src/raft/impure.ts:1') && finding.endsWith(what)),
      impurities(tree).join('\n'),
    );
    remove('src/raft/impure.ts');
  });
}

test('the tidy rules take no comment, string or field name for a violation', () => {
  plant(
    'src/raft/pure.ts',
    "// Date.now() and await are for others.\nexport const text = 'process.exit';\nexport const state = { " +
      'process: 1 }.process;\n',
  );
  assert.deepEqual(impurities(tree), []);
  remove('src/raft/pure.ts');
});

const PULLED: Readonly<Record<string, string>> = {
  'a field of an interface': 'export interface Wishes {\n  readonly room?: () => number;\n}\n',
  'a method of options': 'export interface Settings {\n  room(): number;\n}\n',
  'a parameter of a constructor':
    'export class Core {\n  constructor(private readonly room: undefined | (() => number)) {}\n}\n',
  'a field of a class': 'export class Core {\n  readonly room: () => number = () => 1;\n}\n',
  'a function type by name': 'export type Room = () => number;\nexport interface Wishes {\n  readonly room: Room;\n}\n',
};
for (const [what, content] of Object.entries(PULLED)) {
  test(`a function from outside in a pure folder is seen as ${what}`, () => {
    plant('src/raft/pulls.ts', content);
    assert.match(callbacksIntoDecisions(tree).join('\n'), /^src\/raft\/pulls\.ts:\d: room is a function from outside/);
    remove('src/raft/pulls.ts');
  });
}

test('the random source, and what a call is given for itself, may be functions', () => {
  plant('src/base/random.ts', 'export type Random = () => number;\n');
  plant(
    'src/raft/draws.ts',
    "import type { Random } from '../base/random.js';\n\nexport interface Settings {\n  readonly random: Random;\n}\n" +
      'export const all = (held: (actor: number) => boolean): boolean => [1].every(held);\n',
  );
  assert.deepEqual(callbacksIntoDecisions(tree), []);
  for (const path of ['src/base/random.ts', 'src/raft/draws.ts']) remove(path);
});
