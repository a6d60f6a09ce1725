import type { ActorId } from '../base/index.js';

/**
 * Which of the other nodes are heard, whatever they say: quiesced groups rely on it. A node that was never heard takes
 * part in no quiesced group.
 */
export class NodeLiveness {
  /** A node that has said nothing for so long has fallen silent. */
  private readonly silenceMs: number;
  /** When each node that is not silent was heard last. */
  private readonly heardMs = new Map<ActorId, number>();

  constructor(silenceMs: number) {
    this.silenceMs = silenceMs;
  }

  /** True where the node was silent, or never heard, before. */
  heard(peer: ActorId, nowMs: number): boolean {
    const wasSilent = !this.heardMs.has(peer);
    this.heardMs.set(peer, nowMs);
    return wasSilent;
  }

  /** When the next node falls silent, unless it is heard before. */
  get nextSilentMs(): number {
    return Math.min(...this.heardMs.values()) + this.silenceMs;
  }

  /** The nodes that have fallen silent since this was asked last. */
  takeSilent(nowMs: number): ActorId[] {
    // The same sum as in nextSilentMs: a difference may be rounded to the other side, and a node that is due would
    // never be silent.
    const silent = [...this.heardMs].filter(([, heardMs]) => heardMs + this.silenceMs <= nowMs).map(([peer]) => peer);
    for (const peer of silent) this.heardMs.delete(peer);
    return silent;
  }
}
