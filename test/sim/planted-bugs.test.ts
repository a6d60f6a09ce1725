import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PlantedBug, runSeed, SimulationFailure } from '../../src/sim/index.js';
import { PLANTED_BUGS } from './planted-bugs.js';

const SEEDS_MAX = 2000;
const STEPS = 2000;

/** The first failure that the bug leads to. */
async function firstFailure(bug: PlantedBug, foundWith: number): Promise<SimulationFailure | undefined> {
  for (const seed of [foundWith, ...Array.from({ length: SEEDS_MAX }, (_, position) => position + 1)]) {
    try {
      await runSeed({ seed, steps: STEPS, bug });
    } catch (error) {
      assert.ok(error instanceof SimulationFailure, String(error));
      return error;
    }
  }
  return undefined;
}

for (const [name, { bug, foundWith }] of Object.entries(PLANTED_BUGS)) {
  test(`planted: ${name}`, async (context) => {
    const failure = await firstFailure(bug, foundWith);
    assert.ok(failure !== undefined, `not found in ${SEEDS_MAX} seeds`);
    assert.doesNotMatch(failure.message, /Cannot read|is not a function|on non-object/, 'the plant itself is broken');
    context.diagnostic(`${failure.property}: ${failure.message.split('\n')[0]}`);
    // The code without it passes where it fails.
    await runSeed({ seed: failure.seed, steps: STEPS });
  });
}
