import type { ActorId } from '../base/index.js';
import type { Deadline, Deadlines } from './deadlines.js';
import { NodeLiveness } from './node-liveness.js';
import type { Clock } from './ports.js';

/** So many heartbeats of a node may be lost before it counts as silent. */
const HEARTBEATS_PER_SILENCE = 3;

export interface NodeHeartbeatsOptions {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** A node that is not heard for so long has fallen silent. */
  readonly silenceMs: number;
  /** The nodes with replicas of this node's quiesced groups: they must hear it. */
  readonly watched: () => Iterable<ActorId>;
  readonly heartbeat: (to: ActorId) => void;
  readonly onPresence: (peer: ActorId, state: 'present' | 'silent') => void;
}

/**
 * The heartbeat between nodes that stands for those of all quiesced groups. It goes only to nodes with replicas of such
 * a group: while groups are awake, their own messages say that a node is up. Only such a node can be known to
 * understand it.
 */
export class NodeHeartbeats {
  private readonly options: NodeHeartbeatsOptions;
  private readonly liveness: NodeLiveness;
  private readonly deadline: Deadline;

  constructor(options: NodeHeartbeatsOptions) {
    this.options = options;
    this.liveness = new NodeLiveness(options.silenceMs);
    this.deadline = options.deadlines.add(() => this.onDue());
  }

  heard(peer: ActorId): void {
    const nowMs = this.options.clock.nowMs();
    if (!this.liveness.heard(peer, nowMs)) return;
    this.options.onPresence(peer, 'present');
    this.deadline.set(nowMs);
  }

  stop(): void {
    this.deadline.cancel();
  }

  private onDue(): void {
    const { clock, silenceMs, watched, heartbeat, onPresence } = this.options;
    const nowMs = clock.nowMs();
    for (const peer of this.liveness.takeSilent(nowMs)) onPresence(peer, 'silent');
    for (const peer of watched()) heartbeat(peer);
    // No node is heard: no group has quiesced, and there is nothing to watch.
    const silentMs = this.liveness.nextSilentMs;
    this.deadline.set(
      silentMs === Number.POSITIVE_INFINITY ? silentMs : Math.min(silentMs, nowMs + silenceMs / HEARTBEATS_PER_SILENCE),
    );
  }
}
