import { STREAM_KIND } from '../machine/stream/index.js';

/** The kinds of state machine that a group may run, by the names that stand in its files. */
export const MACHINES = { [STREAM_KIND.name]: STREAM_KIND };
