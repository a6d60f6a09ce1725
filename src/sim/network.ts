import type { ActorId, Random } from '../base/index.js';
import type { EventQueue } from './event-queue.js';
import type { Letter } from './observed-node.js';

/** So many packets are remembered, to be delivered once more when they are of another time. */
const REMEMBERED_PACKETS = 64;

/** Links that lose, repeat, delay and reorder what they carry, and carry nothing where they are cut. */
export class Network {
  /** No faults any more. */
  calm = false;
  private readonly random: Random;
  private readonly queue: EventQueue;
  private readonly deliver: (packet: Letter) => void;
  private readonly lossRate: number;
  private readonly duplicateRate: number;
  /** Directed links that carry nothing, as `from` × 65,536 + `to`. */
  private readonly cuts = new Set<number>();
  private readonly remembered: Letter[] = [];
  private sent = 0;

  constructor(options: { random: Random; queue: EventQueue; deliver: (packet: Letter) => void }) {
    this.random = options.random;
    this.queue = options.queue;
    this.deliver = options.deliver;
    this.lossRate = this.random() ** 3 * 0.3;
    this.duplicateRate = this.random() ** 2 * 0.3;
  }

  send(packet: Letter): void {
    if (this.isCut(packet.from, packet.to) || this.loses()) return;
    this.deliverAfter(this.delayMs(), packet);
    if (this.calm) return;
    if (this.random() < this.duplicateRate) this.deliverAfter(this.delayMs() * 5, packet);
    this.repeatOld(packet);
  }

  /** Whether something that is sent now gets lost. */
  loses(): boolean {
    return !this.calm && this.random() < this.lossRate;
  }

  isCut(from: ActorId, to: ActorId): boolean {
    return this.cuts.has(from * 65536 + to);
  }

  cut(from: ActorId, to: ActorId): void {
    this.cuts.add(from * 65536 + to);
  }

  heal(): void {
    this.cuts.clear();
  }

  /** The delays have a heavy tail: some messages are of another time. */
  delayMs(): number {
    if (this.calm) return 1 + this.random() * 4;
    return this.random() < 0.03 ? 20 + this.random() * 1000 : 1 + this.random() * 10;
  }

  private deliverAfter(delayMs: number, packet: Letter): void {
    this.queue.after(delayMs, () => {
      if (!this.isCut(packet.from, packet.to)) this.deliver(packet);
    });
  }

  /** Now and then something comes once more that was sent long ago, in another term perhaps. */
  private repeatOld(packet: Letter): void {
    const position = this.sent++ % REMEMBERED_PACKETS;
    const old = this.remembered[position];
    if (old !== undefined && this.random() < this.duplicateRate * 0.1) this.deliverAfter(this.delayMs(), old);
    if (old === undefined || this.random() < 0.1) this.remembered[position] = packet;
  }
}
