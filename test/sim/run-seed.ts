import { Violation } from './invariants/index.js';
import type { Figures, Scenario } from './scenario.js';
import { Simulation } from './simulation.js';

export interface RunOptions extends Scenario {
  readonly steps: number;
}

export interface Outcome {
  readonly figures: Figures;
  readonly traceHash: number;
}

/** What was found: which property broke, at which step, and how to see it again. */
export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure';
  readonly property: string;

  constructor({ seed, nodes, spares = 0, steps, storm, quiescence }: RunOptions, simulation: Simulation, cause: unknown) {
    const property =
      cause instanceof Violation ? cause.property : `an assertion of the core (${cause instanceof Error ? cause.message : String(cause)})`;
    super(
      [
        `seed ${seed}, ${nodes} nodes, step ${simulation.steps}: ${property}`,
        cause instanceof Error ? cause.message : String(cause),
        simulation.describe(),
        `replay: SIM_SEED=${seed} SIM_NODES=${nodes} SIM_SPARES=${spares} SIM_STEPS=${steps} SIM_STORM=${storm === true} SIM_QUIESCENCE=${quiescence === true} node --import tsx --test test/sim/raft.test.ts`,
      ].join('\n'),
      { cause },
    );
    this.property = property;
  }
}

/** A safety phase full of faults, then a liveness phase without any. */
export function runSeed(options: RunOptions): Outcome {
  const simulation = new Simulation(options);
  try {
    simulation.runSteps(options.steps);
    simulation.heal();
  } catch (error) {
    throw new SimulationFailure(options, simulation, error);
  }
  return { figures: simulation.figures, traceHash: simulation.traceHash };
}
