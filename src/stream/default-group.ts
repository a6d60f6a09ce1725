import { groupId } from '../base/index.js';

/** The group of the stream `default`. Group 0 is kept for the cluster's own state. */
export const DEFAULT_GROUP = groupId(1);
