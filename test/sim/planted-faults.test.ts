import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlantedFault } from '../raft/core-node.js';
import { PLANTED_FAULTS } from './planted-faults.js';
import { runSeed, SimulationFailure } from './run-seed.js';

const SEEDS_MAX = 300;

/** Figure 3.7 (b) of the dissertation: entry 2 stands in two histories, and neither is committed. */
const FIGURE_3_7 = { 1: [1, 2], 2: [1, 2], 3: [1], 4: [1], 5: [1, 3] };

/** The first failure that the fault leads to. */
function firstFailure(fault: PlantedFault): SimulationFailure | undefined {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const scenario = seed % 2 === 0 ? { nodes: 5, storm: true, logs: FIGURE_3_7 } : { nodes: 3 };
    try {
      runSeed({ ...scenario, seed, steps: 2000, fault });
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
