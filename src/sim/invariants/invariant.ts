import type { ActorId } from '../../base/index.js';
import type { ObservedNode, Packet } from '../observed-node.js';

/** Something that must hold at every step. It is told what happens, and throws a Violation. */
export interface Invariant {
  readonly property: string;
  /** A process takes part, with what it found on its disk. */
  readonly started?: (node: ObservedNode) => void;
  /** A node has taken an input. `node.changedFrom` is the lowest index that this step wrote. */
  readonly stepped?: (node: ObservedNode, nodes: ReadonlyMap<ActorId, ObservedNode>) => void;
  readonly sent?: (packet: Packet, sender: ObservedNode, localMs: number) => void;
  /** Right before the node takes it in. */
  readonly received?: (packet: Packet, receiver: ObservedNode, localMs: number) => void;
}
