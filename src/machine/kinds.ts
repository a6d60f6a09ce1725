import { StreamMachine } from './stream-machine.js';

/** The kinds of state machine that a group may run, by the names that stand in its files. */
export const MACHINES = { stream: StreamMachine } as const;
