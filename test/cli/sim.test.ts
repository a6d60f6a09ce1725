import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from '../../cli/sim.js';
import { type RunOptions, runSeed } from '../../src/sim/index.js';

/** What the command prints, and how many seeds it says have failed. Odd seeds have a bug that loses every write. */
async function run(json: boolean): Promise<{ failures: number; text: string }> {
  let text = '';
  const output = {
    closed: false,
    write: (piece: string | Uint8Array) => {
      text += String(piece);
      return undefined;
    },
    flush: () => Promise.resolve(),
  };
  const runBroken = (options: RunOptions): ReturnType<typeof runSeed> =>
    runSeed(options.seed % 2 === 1 ? { ...options, bug: { storing: () => [] } } : options);
  const failures = await simulate({ first: 6, last: 9, steps: 1500, json, output }, runBroken);
  return { failures, text };
}

test('sim tells of every seed that fails how to see it again, and goes on', async () => {
  const { failures, text } = await run(false);
  assert.equal(failures, 2);
  for (const seed of [7, 9]) {
    assert.match(text, new RegExp(`^seed ${seed}, step \\d+: .+$`, 'm'));
    assert.match(text, new RegExp(`^replay: flotilla sim --seed ${seed} --steps 1500$`, 'm'));
  }
  assert.match(text, /^4 of 4 seeds, \d+ steps, \d+ a second, 2 failed$/m);
  assert.match(text, /^ {2}elections +[1-9]/m);
});

test('sim --json prints one object per seed', async () => {
  const { text } = await run(true);
  const lines: { seed: number; figures?: object; replay?: string; property?: string; step?: number }[] = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ seed, figures, replay }) => [seed, figures !== undefined, replay]),
    [
      [6, true, undefined],
      [7, false, 'flotilla sim --seed 7 --steps 1500'],
      [8, true, undefined],
      [9, false, 'flotilla sim --seed 9 --steps 1500'],
    ],
  );
});
