export { addFigures, type Figures, figureNames, noFigures } from './figures.js';
export type { Packet } from './observed-node.js';
export type { PlantedBug } from './process.js';
export { type Outcome, type RunOptions, runSeed, SimulationFailure, STEPS_DEFAULT } from './run-seed.js';
export { Violation } from './violation.js';
