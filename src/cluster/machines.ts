import { CLUSTER_KIND } from '../machine/cluster/index.js';
import { STREAM_KIND } from '../machine/stream/index.js';

/** The kinds of state machine that a node's groups run, by the names that stand in their files. */
export const MACHINES = { [CLUSTER_KIND.name]: CLUSTER_KIND, [STREAM_KIND.name]: STREAM_KIND };
