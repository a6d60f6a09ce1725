import { type ActorId, FlotillaError, type Random } from '../base/index.js';
import type { LinkState } from '../group/index.js';
import type { Proposed } from '../machine/index.js';
import type { ClockMessage } from '../wire/index.js';
import type { EventQueue } from './event-queue.js';
import type { Host } from './host.js';
import type { Invariant } from './invariants/index.js';
import { Network } from './network.js';
import type { Letter } from './observed-node.js';
import type { Process, StampedBody } from './process.js';
import type { Turns } from './turns.js';

/** A batch that was handed to a leader and not answered for so long has an unknown outcome. */
const FORWARD_TIMEOUT_MS = 800;

/** What the processes know of each other: links that open, break and carry what they say. */
export class Links {
  readonly network: Network;
  private readonly random: Random;
  private readonly queue: EventQueue;
  private readonly turns: Turns;
  private readonly hosts: ReadonlyMap<ActorId, Host>;
  private readonly invariants: readonly Invariant[];

  constructor(options: {
    readonly random: Random;
    readonly queue: EventQueue;
    readonly turns: Turns;
    readonly hosts: ReadonlyMap<ActorId, Host>;
    readonly invariants: readonly Invariant[];
  }) {
    this.random = options.random;
    this.queue = options.queue;
    this.turns = options.turns;
    this.hosts = options.hosts;
    this.invariants = options.invariants;
    this.network = new Network({ ...options, deliver: (packet) => this.arrived(packet) });
  }

  /** Cuts the links that `cut` names, and tells some of the processes that used them. */
  cutWhere(cut: (from: ActorId, to: ActorId) => boolean): void {
    const actors = [...this.hosts.keys()];
    for (const from of actors) {
      for (const to of actors) if (from !== to && cut(from, to)) this.cutLink(from, to);
    }
  }

  heal(): void {
    this.network.heal();
    for (const host of this.hosts.values()) this.announce(host);
  }

  private cutLink(from: ActorId, to: ActorId): void {
    this.network.cut(from, to);
    const host = this.hosts.get(from);
    if (host === undefined || this.random() < 0.5) return;
    this.turns.inputAfter(this.between(1, 30), host, (process) => {
      if (this.network.isCut(from, to)) process.linkChanged(to, 'closed');
    });
  }

  announce(host: Host): void {
    for (const peer of this.hosts.values()) {
      if (peer === host || this.network.isCut(host.actor, peer.actor) || this.network.isCut(peer.actor, host.actor))
        continue;
      for (const [at, other] of [
        [host, peer],
        [peer, host],
      ] as const) {
        if (at.observed.stream === undefined || other.observed.stream === undefined) continue;
        this.turns.inputAfter(this.between(1, 20), at, (process) => {
          if (other.observed.stream !== undefined) process.linkChanged(other.actor, 'open');
        });
      }
    }
  }

  tellPeersOfEnd(host: Host): void {
    for (const peer of this.hosts.values()) {
      if (peer === host || this.random() < 0.3) continue;
      const state: LinkState = this.random() < 0.6 ? 'refused' : 'closed';
      this.turns.inputAfter(this.between(1, 30), peer, (process) => {
        if (host.process === undefined) process.linkChanged(host.actor, state);
      });
    }
  }

  send(host: Host, letter: Letter): void {
    const localMs = host.process?.clock.nowMs() ?? 0;
    if (letter.message !== undefined)
      for (const invariant of this.invariants) invariant.sent?.(letter, host.observed, localMs);
    this.network.send(letter);
  }

  tellClock(from: ActorId, to: ActorId, message: ClockMessage): void {
    const host = this.hosts.get(to);
    if (host !== undefined && !this.network.isCut(from, to))
      this.turns.inputAfter(0, host, (process) => process.hearClock(from, message));
  }

  private arrived(packet: Letter): void {
    const host = this.hosts.get(packet.to);
    if (host === undefined) return;
    this.turns.inputAfter(0, host, (process) => {
      if (packet.message === undefined) {
        process.hear(packet.from);
        return;
      }
      for (const invariant of this.invariants) invariant.received?.(packet, host.observed, process.clock.nowMs());
      process.receive(packet);
    });
  }

  /** A batch goes to the leader and the answer comes back; where either gets lost, its outcome is unknown. */
  forward(host: Host, from: Process, to: ActorId, { body, stamp }: StampedBody): Promise<Proposed> {
    const schedule = this.turns.scheduleOf(host, () => from);
    return new Promise((resolve, reject) => {
      schedule(FORWARD_TIMEOUT_MS, () =>
        reject(new FlotillaError('OUTCOME_UNKNOWN', 'the link was lost after the batch was sent')),
      );
      const answer = (settle: () => void): void => {
        if (!this.network.isCut(to, host.actor) && !this.network.loses()) schedule(this.network.delayMs(), settle);
      };
      if (this.network.isCut(host.actor, to) || this.network.loses()) return;
      this.queue.after(this.network.delayMs(), () => {
        const leader = this.hosts.get(to);
        if (leader === undefined) return;
        this.turns.inputAfter(0, leader, ({ stream }) => {
          stream?.proposeFor(host.actor, body, stamp).then(
            (proposed) => answer(() => resolve(proposed)),
            (error: unknown) => answer(() => reject(error)),
          );
        });
      });
    });
  }

  private between(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }
}
