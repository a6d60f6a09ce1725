import type { ActorId, LogIndex } from '../../../src/base/index.js';
import type { CoreNode, Disk, Packet } from '../../raft/core-node.js';

/** A server of the simulation: its disk outlives its process. */
export interface ServerView {
  readonly disk: Disk;
  /** Undefined while it is down. */
  readonly node: CoreNode | undefined;
}

export interface ClusterView {
  readonly servers: ReadonlyMap<ActorId, ServerView>;
}

/** Something that must hold at every step. It is told what happens, and throws a {@link Violation}. */
export interface Invariant {
  readonly property: string;
  /** A process begins, from its disk. */
  readonly started?: (node: CoreNode, cluster: ClusterView) => void;
  /** A node has taken an input. `node.changedFrom` is the lowest index that this step wrote. */
  readonly stepped?: (node: CoreNode, cluster: ClusterView) => void;
  readonly sent?: (packet: Packet, sender: CoreNode) => void;
  readonly readAsked?: (requestId: number) => void;
  readonly readConfirmed?: (requestId: number, index: LogIndex) => void;
}

export class Violation extends Error {
  override readonly name = 'Violation';
  readonly property: string;

  constructor(property: string, message: string) {
    super(`${property}: ${message}`);
    this.property = property;
  }
}
