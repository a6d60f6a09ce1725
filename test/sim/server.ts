import type { ActorId } from '../../src/base/index.js';
import type { CoreNode, Disk } from '../raft/core-node.js';
import type { ServerView } from './invariants/index.js';

/** A machine: its clock, its disk, and the process on it, if that runs. */
export interface Server extends ServerView {
  readonly self: ActorId;
  readonly disk: Disk;
  /** How fast this machine's clock goes. */
  readonly clockRate: number;
  node: CoreNode | undefined;
  /** Time stands still for the process until then: it was stopped, or its event loop is busy. */
  pausedUntilMs: number;
  tickDueMs: number;
}
