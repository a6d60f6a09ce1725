import { messageOf } from '../base/index.js';
import type { Figures } from './figures.js';
import type { PlantedBug } from './process.js';
import { Simulation } from './simulation.js';
import { Violation } from './violation.js';

export const STEPS_DEFAULT = 20_000;

export interface RunOptions {
  readonly seed: number;
  readonly steps: number;
  readonly bug?: PlantedBug | undefined;
}

export interface Outcome {
  readonly seed: number;
  readonly steps: number;
  readonly traceHash: number;
  readonly figures: Figures;
}

/** What was found: which property broke, at which step, and how to see it again. */
export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure';
  readonly seed: number;
  readonly step: number;
  readonly property: string;
  readonly replay: string;

  constructor({ seed, steps }: RunOptions, simulation: Simulation, cause: unknown) {
    const property = cause instanceof Violation ? cause.property : 'the code keeps its own assertions';
    const replay = `flotilla sim --seed ${seed} --steps ${steps}`;
    super(
      [`seed ${seed}, step ${simulation.steps}: ${messageOf(cause)}`, simulation.describe(), `replay: ${replay}`].join(
        '\n',
      ),
      {
        cause,
      },
    );
    this.seed = seed;
    this.step = simulation.steps;
    this.property = property;
    this.replay = replay;
  }
}

/** A safety phase full of faults, then a liveness phase without any. Rejects with a {@link SimulationFailure}. */
export async function runSeed(options: RunOptions): Promise<Outcome> {
  const simulation = new Simulation(options);
  try {
    await simulation.runSteps(options.steps);
    await simulation.heal();
  } catch (error) {
    throw new SimulationFailure(options, simulation, error);
  }
  const { steps, traceHash, figures } = simulation;
  return { seed: options.seed, steps, traceHash, figures };
}
