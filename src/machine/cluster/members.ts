import type { Member } from '../../base/index.js';

/** A member, as the cluster's state has it. */
export interface ClusterMember extends Member {
  /** It is being taken out of every group's configuration; absent: it stays. */
  readonly isLeaving?: true;
}
