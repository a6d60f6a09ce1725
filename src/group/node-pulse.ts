import type { ActorId } from '../base/index.js';
import type { Deadline, Deadlines } from './deadlines.js';
import { NodeLiveness } from './node-liveness.js';
import type { Clock } from './ports.js';

/** So many heartbeats of a node may be lost before it counts as silent. */
const BEATS_PER_SILENCE = 3;

export interface NodePulseOptions {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** A node that is not heard for so long has fallen silent. */
  readonly silenceMs: number;
  /** The nodes that groups of this one rest with: they must hear it. */
  readonly restsWith: () => Iterable<ActorId>;
  readonly beat: (to: ActorId) => void;
  readonly onPresence: (peer: ActorId, state: 'present' | 'silent') => void;
}

/**
 * The heartbeat between nodes that stands for those of all groups that rest.
 * It goes only to nodes that a group rests with: while groups work, their own
 * messages say that a node lives. Only such a node can be known to understand it.
 */
export class NodePulse {
  private readonly options: NodePulseOptions;
  private readonly liveness: NodeLiveness;
  private readonly deadline: Deadline;

  constructor(options: NodePulseOptions) {
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
    const { clock, silenceMs, restsWith, beat, onPresence } = this.options;
    const nowMs = clock.nowMs();
    for (const peer of this.liveness.takeSilent(nowMs)) onPresence(peer, 'silent');
    for (const peer of restsWith()) beat(peer);
    // Nobody is heard: no group rests, and there is nothing to watch.
    const silentMs = this.liveness.nextSilentMs;
    this.deadline.set(
      silentMs === Number.POSITIVE_INFINITY ? silentMs : Math.min(silentMs, nowMs + silenceMs / BEATS_PER_SILENCE),
    );
  }
}
