import type { ActorId, Random } from '../../src/base/index.js';
import type { EventQueue } from '../../src/sim/event-queue.js';
import type { Packet } from '../raft/core-node.js';

/** After this everything that was ever sent has arrived, or never will. */
export const DELAY_MS_MAX = 5200;

/** Links that lose, repeat, delay and reorder what they carry, and carry nothing where they are cut. */
export class Network {
  /** No faults any more. */
  calm = false;
  private readonly random: Random;
  private readonly queue: EventQueue;
  private readonly deliver: (packet: Packet) => void;
  private readonly lossRate: number;
  private readonly duplicateRate: number;
  /** Directed links that carry nothing. */
  private readonly cuts = new Set<string>();

  constructor(options: { random: Random; queue: EventQueue; deliver: (packet: Packet) => void }) {
    this.random = options.random;
    this.queue = options.queue;
    this.deliver = options.deliver;
    this.lossRate = this.random() ** 3 * 0.3;
    this.duplicateRate = this.random() ** 2 * 0.3;
  }

  send(packet: Packet): void {
    this.carry(packet.from, packet.to, () => this.deliver(packet));
  }

  /** The same for what is no message of a core. */
  carry(from: ActorId, to: ActorId, arrive: () => void): void {
    if (this.isCut(from, to) || (!this.calm && this.random() < this.lossRate)) return;
    this.arriveAfter(this.delayMs(), from, to, arrive);
    if (!this.calm && this.random() < this.duplicateRate) this.arriveAfter(this.delayMs() * 5, from, to, arrive);
  }

  isCut(from: ActorId, to: ActorId): boolean {
    return this.cuts.has(`${from} ${to}`);
  }

  cut(from: ActorId, to: ActorId): void {
    this.cuts.add(`${from} ${to}`);
  }

  heal(): void {
    this.cuts.clear();
  }

  private arriveAfter(delayMs: number, from: ActorId, to: ActorId, arrive: () => void): void {
    this.queue.after(delayMs, () => {
      if (!this.isCut(from, to)) arrive();
    });
  }

  /** With a heavy tail: some messages are of another time. */
  private delayMs(): number {
    if (this.calm) return 1 + Math.floor(this.random() * 4);
    return this.random() < 0.03 ? 20 + Math.floor(this.random() * 1000) : 1 + Math.floor(this.random() * 10);
  }
}

/** Cuts what leads into or out of the part. */
export function isolationOf(inside: ReadonlySet<ActorId>): (from: ActorId, to: ActorId) => boolean {
  return (from, to) => inside.has(from) !== inside.has(to);
}
