import { type ActorId, actorId, FlotillaError, logIndex, present, type Random, seededRandom } from '../../src/base/index.js';

import { isJoint, type MemberChange, membersOf } from '../../src/raft/index.js';
import { EventQueue } from '../../src/sim/event-queue.js';

import { CoreNode, describeConfiguration, type Packet, type PlantedFault } from '../raft/core-node.js';
import { allInvariants, type Invariant, Violation } from './invariants/index.js';
import { isolationOf, Network } from './network.js';
import { Presence, restAndLoseALeader, watchNodes } from './presence.js';
import { initialDisk, noFigures, type Scenario, SETTINGS } from './scenario.js';
import type { Server } from './server.js';

/** Servers, links and disks that fail at random. One seed, one history. */
export class Simulation {
  readonly figures = noFigures();
  private readonly founders: readonly ActorId[];
  readonly servers = new Map<ActorId, Server>();
  steps = 0;
  traceHash = 0;
  private readonly random: Random;
  private readonly fault: PlantedFault | undefined;
  readonly queue = new EventQueue();
  private readonly invariants: readonly Invariant[] = allInvariants();
  readonly network: Network;
  private calm = false;
  private proposals = 0;
  private reads = 0;
  /** How often a disk of this run takes long. */
  private readonly slowDiskRate: number;
  /** How many leaders fall soon after their election: old entries spread that way, and are not yet safe (figure 3.7). */
  private readonly huntRate: number;
  private readonly faultGapMsMax: number;
  private readonly storm: boolean;
  private readonly presence: Presence | undefined;
  private readonly knownLeaders = new Set<string>();

  constructor(options: Scenario) {
    this.random = seededRandom(options.seed);
    this.fault = options.fault;
    const spares = options.spares ?? 0;
    const actors = Array.from({ length: options.nodes + spares }, (_, position) => actorId(position + 1));
    this.founders = actors.slice(0, options.nodes);
    this.network = new Network({ random: this.random, queue: this.queue, deliver: (packet) => this.arrived(packet) });
    this.slowDiskRate = this.random() * 0.1;
    this.storm = options.storm ?? false;
    this.presence = options.quiescence === true ? new Presence(SETTINGS.electionTimeoutMs) : undefined;
    this.faultGapMsMax = this.between(200, 1500);
    this.huntRate = this.storm ? 0.8 : this.random() ** 2;
    for (const self of actors) {
      const server: Server = {
        self,
        disk: initialDisk(options, self),
        clockRate: 0.8 + 0.4 * this.random(),
        node: undefined,
        pausedUntilMs: 0,
        tickDueMs: Number.NaN,
      };
      this.servers.set(self, server);
    }
    for (const server of this.servers.values()) this.start(server);
    this.queue.after(this.between(5, 20), () => this.clientActs());
    this.queue.after(this.between(50, 200), () => this.somethingFails());
    if (spares > 0) this.queue.after(this.between(50, 400), () => this.operatorActs());
  }

  /** Runs until so many inputs were taken. Throws the first violation. */
  runSteps(steps: number): void {
    const end = this.steps + steps;
    while (this.steps < end) this.queue.runNext();
  }

  /** Ends all faults; then a leader must come, and afterwards all logs must become equal. */
  heal(): void {
    this.calm = true;
    this.network.calm = true;
    this.network.heal();
    for (const server of this.servers.values()) {
      server.pausedUntilMs = 0;
      if (server.node === undefined) this.start(server);
      else this.announceLinksOf(server);
    }
    this.awaitWithin(10, 'a leader after the faults have ended', () => this.leader !== undefined);
    this.awaitWithin(50, 'equal logs after the faults have ended', () => {
      const index = this.leader?.propose('last', this.localMs(this.leader.self));
      if (index !== undefined && this.leader !== undefined) this.afterInput(this.leader);
      return index !== undefined;
    });
    this.awaitWithin(50, 'equal logs after the faults have ended', () => this.logsAreEqual());
    for (const { node } of this.servers.values()) if (node !== undefined) this.count(node);
    if (this.presence !== undefined) restAndLoseALeader(this, this.presence);
  }

  private count({ truncations, snapshots }: CoreNode): void {
    this.figures.truncations += truncations;
    this.figures.snapshots += snapshots;
  }

  awaitWithin(electionTimeouts: number, property: string, holds: () => boolean): void {
    const until = this.queue.nowMs + electionTimeouts * SETTINGS.electionTimeoutMs;
    while (!holds()) {
      if (this.queue.nextMs > until) throw new Violation(property, `not within ${electionTimeouts} election time-outs: ${this.describe()}`);
      this.queue.runNext();
    }
  }

  get leader(): CoreNode | undefined {
    return [...this.servers.values()].find(({ node }) => node?.core.leadsWithCommit === true)?.node;
  }

  /** All members hold the same log, all of it committed, and no change of the members is under way. */
  private logsAreEqual(): boolean {
    const { leader } = this;
    const last = leader?.entries.at(-1);
    if (leader === undefined || isJoint(leader.core.configuration)) return false;
    return membersOf(leader.core.configuration).every((actor) => {
      const node = this.servers.get(actor)?.node;
      const end = node?.entries.at(-1);
      return node !== undefined && end?.index === last?.index && end?.term === last?.term && node.core.commitIndex === last?.index;
    });
  }

  describe(): string {
    return [...this.servers.values()]
      .map(({ self, node }) =>
        node === undefined
          ? `${self} down`
          : `${self} ${node.core.role} term ${node.core.term} log ${node.core.commitIndex}/${node.core.lastIndex} of ${describeConfiguration(node.core.configuration)}`,
      )
      .join(', ');
  }

  // Processes

  start(server: Server): void {
    const node = new CoreNode({
      self: server.self,
      configuration: { voters: this.founders.includes(server.self) ? this.founders : [], outgoing: [], learners: [] },
      disk: server.disk,
      settings: { ...SETTINGS, quiescence: this.presence !== undefined },
      random: this.random,
      nowMs: this.localMs(server.self),
      entriesPerAppend: this.storm ? 1 : 1 + Math.floor(this.random() * 4),
      fault: this.fault,
    });
    server.node = node;
    if (this.presence !== undefined) watchNodes(this, this.presence, node);
    node.changedFrom = 1;
    for (const invariant of this.invariants) invariant.started?.(node, this);
    node.changedFrom = Number.POSITIVE_INFINITY;
    this.afterInput(node);
    this.announceLinksOf(server);
  }

  private crash(server: Server): void {
    const { node } = server;
    if (node === undefined) return;
    this.figures.crashes++;
    this.count(node);
    if (node.crash(Math.floor(this.random() * 5))) this.figures.lostWrites++;
    server.node = undefined;
    for (const peer of this.servers.values()) {
      if (this.random() < 0.3) continue;
      const state = this.random() < 0.6 ? 'refused' : 'closed';
      this.inputAfter(this.between(1, 30), peer, (alive) => {
        if (server.node === undefined) alive.linkChanged(server.self, state, this.localMs(alive.self));
      });
    }
    this.queue.after(this.between(10, 600), () => {
      if (server.node === undefined) this.start(server);
    });
  }

  /** Gives a running process an input, when it is able to take one. Nothing where it died meanwhile. */
  inputAfter(delayMs: number, server: Server, input: (node: CoreNode) => void): void {
    const { node } = server;
    if (node === undefined) return;
    const run = (): void => {
      if (server.node !== node) return;
      if (server.pausedUntilMs > this.queue.nowMs) {
        this.queue.at(server.pausedUntilMs, run);
        return;
      }
      input(node);
      this.afterInput(node);
    };
    this.queue.after(delayMs, run);
  }

  private afterInput(node: CoreNode): void {
    this.steps++;
    const { core } = node;
    this.traceHash =
      Math.imul(
        this.traceHash ^ (node.self + 31 * core.term + 101 * core.commitIndex + 1009 * core.lastIndex + 7 * this.queue.nowMs),
        0x01000193,
      ) | 0;
    for (const packet of node.outbox.splice(0)) {
      for (const invariant of this.invariants) invariant.sent?.(packet, node);
      this.network.send(packet);
    }
    for (const { requestId, index } of node.reads.splice(0)) {
      if (index === 0) continue;
      this.figures.readsConfirmed++;
      for (const invariant of this.invariants) invariant.readConfirmed?.(requestId, index);
    }
    for (const invariant of this.invariants) invariant.stepped?.(node, this);
    node.changedFrom = Number.POSITIVE_INFINITY;
    this.figures.committed = Math.max(this.figures.committed, core.commitIndex);
    if (core.role === 'leader' && !this.knownLeaders.has(`${node.self} ${core.term}`)) {
      this.knownLeaders.add(`${node.self} ${core.term}`);
      this.figures.elections++;
      this.huntLeader(node.self);
    }
    this.presence?.looked(node);
    this.planWrite(node);
    this.planTick(node);
  }

  private planWrite(node: CoreNode): void {
    const write = node.writeUnderWay;
    const server = this.servers.get(node.self);
    if (write === undefined || server === undefined || this.plannedWrites.has(write)) return;
    this.plannedWrites.add(write);
    const slow = !this.calm && this.random() < this.slowDiskRate;
    this.inputAfter(slow ? this.between(50, 800) : this.between(1, 8), server, (alive) => alive.completeWrite(this.localMs(alive.self)));
  }

  private readonly plannedWrites = new WeakSet<object>();

  private planTick(node: CoreNode): void {
    const server = this.servers.get(node.self);
    const dueMs = node.core.nextDeadlineMs;
    if (server === undefined || server.tickDueMs === dueMs) return;
    server.tickDueMs = dueMs;
    const run = (): void => {
      if (server.node !== node || server.tickDueMs !== dueMs) return;
      if (server.pausedUntilMs > this.queue.nowMs) {
        this.queue.at(server.pausedUntilMs, run);
        return;
      }
      server.tickDueMs = Number.NaN;
      node.tick(Math.max(dueMs, this.localMs(node.self)));
      this.afterInput(node);
    };
    this.queue.at(Math.ceil(dueMs / server.clockRate), run);
  }

  localMs(actor: ActorId): number {
    return Math.ceil(this.queue.nowMs * (this.servers.get(actor)?.clockRate ?? 1));
  }

  // Links

  private arrived(packet: Packet): void {
    this.inputAfter(0, present(this.servers.get(packet.to), 'packets go to servers'), (node) => {
      this.presence?.heard(node, packet.from, this.localMs(node.self));
      node.receive(packet, this.localMs(node.self));
    });
  }

  announceLinksOf(server: Server): void {
    for (const peer of this.servers.values()) {
      if (peer === server || this.network.isCut(server.self, peer.self) || this.network.isCut(peer.self, server.self)) continue;
      for (const [at, other] of [
        [server, peer],
        [peer, server],
      ] as const) {
        this.inputAfter(this.between(1, 20), at, (node) => {
          if (other.node !== undefined) node.linkChanged(other.self, 'open', this.localMs(node.self));
        });
      }
    }
  }

  // What happens to it

  private clientActs(): void {
    if (this.calm) return;
    this.queue.after(this.presence?.pauseMs(this.random) ?? this.between(2, 40), () => this.clientActs());
    const server = this.random() < 0.7 ? this.anyLeader() : this.any();
    // A paused server takes the request when it wakes up, and before it notices how late it is.
    this.inputAfter(0, server, this.random() < 0.25 ? (node) => this.read(node) : (node) => this.propose(node));
  }

  private read(node: CoreNode): void {
    const requestId = ++this.reads;
    for (const invariant of this.invariants) invariant.readAsked?.(requestId);
    node.readIndex(requestId, this.localMs(node.self));
  }

  private propose(node: CoreNode): void {
    if (node.propose(`p${++this.proposals}`, this.localMs(node.self)) !== undefined) this.figures.proposals++;
  }

  private somethingFails(): void {
    if (this.calm) return;
    this.queue.after(this.between(10, this.faultGapMsMax), () => this.somethingFails());
    const server = this.any();
    const choice = this.random();
    if (choice < 0.35) this.crash(server);
    else if (choice < 0.45) for (const each of this.servers.values()) this.crash(each);
    else if (choice < 0.6) this.pause(this.random() < 0.5 ? this.anyLeader() : server);
    else if (choice < 0.68) this.transfer();
    else if (choice < 0.78) this.cutLogs();
    else this.partition();
  }

  /** Wants anybody to become anything, several at once, whatever is going on. */
  private operatorActs(): void {
    if (this.calm) return;
    this.queue.after(this.between(20, this.storm ? 200 : 400), () => this.operatorActs());
    const changes: MemberChange[] = Array.from({ length: this.between(1, 3) }, () => ({
      actor: this.any().self,
      to: (['voter', 'voter', 'voter', 'learner', 'removed'] as const)[this.between(0, 4)] ?? 'voter',
    }));
    this.inputAfter(0, this.anyLeader(), (node) => {
      try {
        if (node.changeMembers(changes, this.localMs(node.self)) !== undefined) this.figures.memberChanges++;
      } catch (error) {
        if (!(error instanceof FlotillaError)) throw error;
      }
    });
  }

  /** Leaders and others give up the front of their logs: who lacks it needs a snapshot. */
  private cutLogs(): void {
    for (const server of this.servers.values()) {
      if (this.random() < 0.3) continue;
      this.inputAfter(this.between(0, 20), server, (node) => {
        const settled = Math.min(node.core.commitIndex, node.core.durableIndex);
        if (settled > node.core.beginIndex)
          node.cutThrough(logIndex(this.between(node.core.beginIndex + 1, settled)), this.localMs(node.self));
      });
    }
  }

  /** When it wakes up, a client is quicker than its clock. */
  private pause(server: Server): void {
    server.pausedUntilMs = this.queue.nowMs + this.between(20, 600);
    this.inputAfter(0, server, (node) => this.read(node));
  }

  private huntLeader(leader: ActorId): void {
    const server = this.servers.get(leader);
    if (this.calm || server === undefined || this.random() > this.huntRate) return;
    this.queue.after(this.between(1, this.storm ? 20 : 60), () => {
      if (this.calm) return;
      if (this.random() < 0.5) this.crash(server);
      else this.cutWhere(isolationOf(new Set([leader])));
    });
  }

  private transfer(): void {
    const to = this.random() < 0.5 ? undefined : this.any().self;
    this.inputAfter(0, this.anyLeader(), (node) => {
      if (node.transferLeadership(to, this.localMs(node.self))) this.figures.transfers++;
    });
  }

  /** One node alone, two halves, or single directions. */
  private partition(): void {
    const kind = this.random();
    if (kind < 0.4) this.cutWhere(isolationOf(new Set([this.any().self])));
    else if (kind < 0.7) this.cutWhere(isolationOf(new Set([...this.servers.keys()].filter(() => this.random() < 0.5))));
    else this.cutWhere(() => this.random() < 0.3);
  }

  private cutWhere(cut: (from: ActorId, to: ActorId) => boolean): void {
    for (const from of [...this.servers.keys()]) {
      for (const to of [...this.servers.keys()]) if (from !== to && cut(from, to)) this.cutLink(from, to);
    }
    this.queue.after(this.between(20, 500), () => {
      this.network.heal();
      for (const each of this.servers.values()) this.announceLinksOf(each);
    });
  }

  private cutLink(from: ActorId, to: ActorId): void {
    this.network.cut(from, to);
    const server = this.servers.get(from);
    if (server === undefined || this.random() < 0.5) return;
    this.inputAfter(this.between(1, 30), server, (node) => {
      if (this.network.isCut(from, to)) node.linkChanged(to, 'closed', this.localMs(node.self));
    });
  }

  private any(servers: readonly Server[] = [...this.servers.values()]): Server {
    return present(servers[Math.floor(this.random() * servers.length)], 'a cluster has servers');
  }

  /** Of those that think they lead; there may be more than one. */
  private anyLeader(): Server {
    const leaders = [...this.servers.values()].filter(({ node }) => node?.core.role === 'leader');
    return leaders.length > 0 ? this.any(leaders) : this.any();
  }

  private between(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }
}
