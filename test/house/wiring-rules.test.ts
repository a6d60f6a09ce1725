/** The rules of how parts are joined, each seen to catch what breaks it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plantedTree } from './planted-tree.js';
import { collaborators, lateFields, programOf } from './wiring-rules.js';

const { tree, plant, remove } = plantedTree();

/** Nine parts: one by itself, one interface with methods, and seven of the options, whose settings do not count. */
const CROWDED = `class Part {}
interface Clock { nowMs(): number }
interface Settings { readonly timeoutMs: number; readonly names: readonly string[] }
interface Options {
  readonly settings: Settings;
  readonly one: Part; readonly two: Part; readonly three: Part; readonly four: Clock;
  readonly five: () => void; readonly six?: Part; readonly seven: Part | undefined;
}
export class Crowded {
  constructor(readonly options: Options, readonly part: Part, readonly clock: Clock) {}
}
`;
const HASTY = `class Part { constructor(readonly ask: () => unknown) {} }
export class Hasty {
  private readonly first: Part;
  private readonly second: Part;
  private timer: Part | undefined;
  constructor() {
    this.first = new Part(() => this.second);
    this.second = new Part(() => [this.first, this.timer]);
  }
}
`;
test('the wiring rules count what a class is given, and see what is handed out too early', () => {
  plant('src/node/crowded.ts', CROWDED);
  plant('src/node/hasty.ts', HASTY);
  const program = programOf(tree);
  const found = (ratchet: Readonly<Record<string, number>>) => collaborators(tree, program, ratchet);
  assert.match(
    found({}).join('\n'),
    /^src\/node\/crowded\.ts: Crowded is given 9 collaborators, more than 8: one, two,/,
  );
  assert.deepEqual(found({ Crowded: 9 }), []);
  assert.match(found({ Crowded: 9, Hasty: 9 }).join('\n'), /^src\/node\/hasty\.ts: Hasty needs its ratchet no more$/);
  assert.deepEqual(lateFields(tree, program, []), [
    'src/node/hasty.ts: a function that reaches into Hasty.second is handed out before that is assigned',
  ]);
  assert.deepEqual(lateFields(tree, program, ['Hasty.second']), []);
  for (const path of ['src/node/crowded.ts', 'src/node/hasty.ts']) remove(path);
});
