import type { PlantedBug } from '../../src/sim/index.js';

/** A bug, and the seed that found it last: it is tried first, and a change of the code may make another one find it. */
export interface Planted {
  readonly foundWith: number;
  readonly bug: PlantedBug;
}
