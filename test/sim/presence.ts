import { type ActorId, present, type Random } from '../../src/base/index.js';
import { membersOf } from '../../src/raft/index.js';
import { NodeLiveness } from '../../src/replica/node-liveness.js';
import type { CoreNode } from '../raft/core-node.js';
import { Violation } from './invariants/index.js';
import { DELAY_MS_MAX } from './network.js';
import { SETTINGS } from './scenario.js';
import type { Simulation } from './simulation.js';

/** What a node's runtime knows of the other nodes, where groups rest: each is told of those that fall silent. */
export class Presence {
  private readonly silenceMs: number;
  private readonly liveness = new Map<ActorId, NodeLiveness>();
  private readonly wereQuiet = new Set<CoreNode>();
  /** Times that a leader fell quiet. */
  rests = 0;
  /** Times that a node which somebody leaned on fell silent. */
  silences = 0;

  constructor(silenceMs: number) {
    this.silenceMs = silenceMs;
  }

  /** How often nodes say that they live. */
  get beatMs(): number {
    return Math.floor(this.silenceMs / 4);
  }

  /** Clients that never pause would let no group rest. */
  pauseMs(random: Random): number | undefined {
    return random() < 0.1 ? 100 + Math.floor(random() * 1100) : undefined;
  }

  started(actor: ActorId): void {
    this.liveness.set(actor, new NodeLiveness(this.silenceMs));
  }

  heard(node: CoreNode, from: ActorId, nowMs: number): void {
    if (this.of(node).heard(from, nowMs)) node.peerPresence(from, 'present', nowMs);
  }

  /** Tells the node of who has fallen silent, and returns to whom it has to say that it lives. */
  beat(node: CoreNode, nowMs: number): ActorId[] {
    for (const peer of this.of(node).takeSilent(nowMs)) {
      if (node.core.restsWith.includes(peer)) this.silences++;
      node.peerPresence(peer, 'silent', nowMs);
    }
    return node.core.restsWith;
  }

  looked(node: CoreNode): void {
    const rests = node.core.role === 'leader' && node.core.isQuiet;
    if (rests && !this.wereQuiet.has(node)) this.rests++;
    if (rests) this.wereQuiet.add(node);
    else this.wereQuiet.delete(node);
  }

  private of(node: CoreNode): NodeLiveness {
    return present(this.liveness.get(node.self), `node ${node.self} has been started`);
  }
}

/** From its start on, a node says that it lives to those that lean on it, and is told who has fallen silent. */
export function watchNodes(simulation: Simulation, presence: Presence, node: CoreNode): void {
  const { servers, network, queue } = simulation;
  const server = present(servers.get(node.self), 'a node runs on a server');
  presence.started(node.self);
  const beat = (): void => {
    for (const peer of presence.beat(node, simulation.localMs(node.self))) {
      const listener = present(servers.get(peer), 'who rests with it is a server');
      const hear = (heard: CoreNode): void => presence.heard(heard, node.self, simulation.localMs(heard.self));
      network.carry(node.self, peer, () => simulation.inputAfter(0, listener, hear));
    }
    queue.after(presence.beatMs, () => simulation.inputAfter(0, server, (alive) => (alive === node ? beat() : undefined)));
  };
  beat();
}

/** A group at rest stays so; when its leader's machine vanishes without a word it has another, and wakes for who comes back. */
export function restAndLoseALeader(simulation: Simulation, presence: Presence): void {
  const { queue, servers, figures } = simulation;
  // What the faults have led to, not what follows here.
  figures.rests = presence.rests;
  figures.silences = presence.silences;
  queue.runUntil(queue.nowMs + DELAY_MS_MAX);
  simulation.awaitWithin(20, 'a group without work rests', () => rests(simulation));
  const { term, configuration } = present(simulation.leader, 'a leader rests').core;
  queue.runUntil(queue.nowMs + 20 * SETTINGS.electionTimeoutMs);
  if (!rests(simulation) || simulation.leader?.core.term !== term) throw new Violation('who rests is left alone', simulation.describe());
  if (configuration.voters.length < 3) return;
  const lost = present(servers.get(simulation.leader.self), 'the leader is a server');
  lost.node?.crash(0);
  lost.node = undefined;
  simulation.awaitWithin(10, 'a leader after that of a quiet group vanished', () => simulation.leader !== undefined);
  simulation.start(lost);
  simulation.announceLinksOf(lost);
  simulation.awaitWithin(50, 'a group rests with who came back', () => rests(simulation));
}

function rests({ leader, servers }: Simulation): boolean {
  const members = leader === undefined ? [] : membersOf(leader.core.configuration);
  return members.length > 0 && members.every((actor) => servers.get(actor)?.node?.core.isQuiet === true);
}
