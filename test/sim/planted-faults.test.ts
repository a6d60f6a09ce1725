import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlantedFault } from '../raft/core-node.js';
import { PLANTED_FAULTS } from './planted-faults.js';
import { runSeed, SimulationFailure } from './run-seed.js';

const SEEDS_MAX = 300;

/** The first failure that the fault leads to. */
function firstFailure(fault: PlantedFault): SimulationFailure | undefined {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    try {
      runSeed({ seed, nodes: seed % 2 === 0 ? 3 : 5, steps: 2000, fault });
    } catch (error) {
      assert.ok(error instanceof SimulationFailure, String(error));
      return error;
    }
  }
  return undefined;
}

for (const [name, fault] of Object.entries(PLANTED_FAULTS)) {
  test(`planted: ${name}`, (context) => {
    const failure = firstFailure(fault);
    assert.ok(failure !== undefined, `not found in ${SEEDS_MAX} seeds`);
    context.diagnostic(failure.message.split('\n').slice(0, 2).join(' | '));
  });
}
