import { type ActorId, actorId, type LogIndex, logIndex, present, type Term, term } from '../../src/base/index.js';
import type { Configuration, DiskPressure, MemberChange, Message, Settings } from '../../src/raft/index.js';
import { CoreNode, type Disk, emptyDisk, type LogEntry, type Packet } from './core-node.js';

export const SETTINGS: Settings = {
  electionTimeoutMs: 1000,
  heartbeatIntervalMs: 100,
  replicationWindow: { bytes: 10_000, messages: 16 },
};

/** What a node believes that has not been told anything yet. */
export const NO_MEMBERS: Configuration = { voters: [], outgoing: [], learners: [] };

export interface ClusterOptions {
  readonly outgoing?: readonly number[];
  readonly learners?: readonly number[];
  /** Nodes that are no members yet, and know of none. */
  readonly spares?: readonly number[];
  readonly entriesPerAppend?: number;
  readonly settings?: Settings;
  /** What each actor starts from: a log as the terms of its entries, a term, a vote and a commit index. */
  readonly disks?: Readonly<
    Record<number, { terms?: readonly number[]; term?: number; vote?: number; commitIndex?: number }>
  >;
}

/**
 * Cores joined by hand-driven links and disks: nothing moves, no write ends and
 * no time passes until the test says so. Every node's draw of the random
 * election time is fixed by its actor id, so the lower one is always earlier.
 */
export class Cluster {
  nowMs = 0;
  readonly nodes = new Map<ActorId, CoreNode>();
  /** Messages on their way, oldest first. */
  inFlight: Packet[] = [];
  /** Told of every message as it is sent. */
  onSent: (packet: Packet) => void = () => undefined;
  /** Told of every write as it begins. */
  onWrite: (node: CoreNode) => void = () => undefined;
  private readonly configuration: Configuration;
  private readonly options: ClusterOptions;
  private readonly cuts = new Set<string>();
  private readonly down = new Map<ActorId, Disk>();
  private readonly pressures = new Map<ActorId, DiskPressure>();
  private readonly writesSeen = new Map<ActorId, unknown>();

  constructor(voters: readonly number[], options: ClusterOptions = {}) {
    this.options = options;
    this.configuration = {
      voters: voters.map(actorId),
      outgoing: (options.outgoing ?? []).map(actorId),
      learners: (options.learners ?? []).map(actorId),
    };
    const actors = new Set([...voters, ...(options.outgoing ?? []), ...(options.learners ?? [])]);
    for (const actor of [...actors, ...(options.spares ?? [])])
      this.start(actorId(actor), diskOf(options.disks?.[actor] ?? {}));
  }

  node(actor: number): CoreNode {
    return present(this.nodes.get(actorId(actor)), `there is no node ${actor}`);
  }

  get leaders(): number[] {
    return [...this.nodes.values()].filter(({ core }) => core.role === 'leader').map(({ self }) => self);
  }

  logOf(actor: number): string {
    return this.node(actor)
      .entries.map((entry) => `${entry.term}:${entry.data}`)
      .join(' ');
  }

  /** What `node` has sent and the network still holds, to whomever. */
  sentBy<Type extends Message['type']>(actor: number, type: Type): Extract<Message, { type: Type }>[] {
    const isOfType = (message: Message): message is Extract<Message, { type: Type }> => message.type === type;
    return this.inFlight
      .filter(({ from }) => from === actor)
      .map(({ message }) => message)
      .filter(isOfType);
  }

  // Inputs

  /** Lets time pass for all nodes, and ticks `actors` (all without). */
  tick(passedMs: number, ...actors: number[]): void {
    this.nowMs += passedMs;
    for (const actor of actors.length > 0 ? actors : this.nodes.keys())
      this.input(actor, (node) => node.tick(this.nowMs));
  }

  /** Goes on to the moment at which the node's election is due, and ticks it alone. */
  campaign(actor: number): void {
    const due = this.node(actor).core.nextDeadlineMs;
    this.tick(Math.max(0, due - this.nowMs), actor);
  }

  propose(actor: number, data: string): LogIndex | undefined {
    return this.input(actor, (node) => node.propose(data, this.nowMs));
  }

  /** Undefined where it was refused. */
  change(
    actor: number,
    ...changes: readonly (readonly [to: MemberChange['to'], actor: number])[]
  ): LogIndex | undefined {
    const named = changes.map(([to, member]) => ({ to, actor: actorId(member) }));
    return this.input(actor, (node) => node.changeMembers(named, this.nowMs));
  }

  readIndex(actor: number, requestId: number): boolean {
    return this.input(actor, (node) => node.readIndex(requestId, this.nowMs));
  }

  transfer(actor: number, to?: number): boolean {
    return this.input(actor, (node) => node.transferLeadership(to === undefined ? undefined : actorId(to), this.nowMs));
  }

  /** The node's log begins after `index` from now on. */
  cutLog(actor: number, index: number): void {
    this.input(actor, (node) => node.cutThrough(logIndex(index), this.nowMs));
  }

  link(actor: number, peer: number, state: 'open' | 'closed' | 'refused'): void {
    this.input(actor, (node) => node.linkChanged(actorId(peer), state, this.nowMs));
  }

  presence(actor: number, peer: number, state: 'present' | 'silent'): void {
    this.input(actor, (node) => node.peerPresence(actorId(peer), state, this.nowMs));
  }

  /** How much the node's disk takes from now on, also when it is started again. */
  diskPressure(actor: number, level: DiskPressure): void {
    this.pressures.set(actorId(actor), level);
    this.input(actor, (node) => node.diskPressureChanged(level, this.nowMs));
  }

  /** A message from nowhere, such as an old one or a copy. */
  inject(from: number, to: number, message: Message, entries: readonly LogEntry[] = []): void {
    this.input(to, (node) => node.receive({ from: actorId(from), to: actorId(to), message, entries }, this.nowMs));
  }

  persist(actor: number): void {
    this.input(actor, (node) => node.completeWrite(this.nowMs));
  }

  /** Delivers the messages that are on their way now, on the links between the given nodes (all without). */
  deliver(from?: number, to?: number): void {
    const due = this.inFlight.filter(
      (packet) => (from ?? packet.from) === packet.from && (to ?? packet.to) === packet.to,
    );
    this.inFlight = this.inFlight.filter((packet) => !due.includes(packet));
    for (const packet of due) {
      if (this.nodes.has(packet.to)) this.input(packet.to, (node) => node.receive(packet, this.nowMs));
    }
  }

  /** Delivers and persists until nothing moves. */
  settle(): void {
    for (let turn = 0; turn < 1000; turn++) {
      const writing = [...this.nodes.values()].filter(({ writeUnderWay }) => writeUnderWay !== undefined);
      if (this.inFlight.length === 0 && writing.length === 0) return;
      this.deliver();
      for (const { self } of writing) this.persist(self);
    }
    throw new Error('a thousand turns, and messages are still sent');
  }

  /** Makes `actor` the leader of a settled cluster. */
  elect(actor: number): void {
    this.campaign(actor);
    this.settle();
    if (this.node(actor).core.role !== 'leader') throw new Error(`node ${actor} was not elected`);
    this.tick(100, actor);
    this.settle();
  }

  /** Makes `actor` the leader, and stops there: not even its no-op has left its disk. */
  win(actor: number): void {
    this.campaign(actor);
    for (let turn = 0; turn < 20; turn++) {
      for (const { self } of this.nodes.values()) {
        if (this.node(actor).core.role === 'leader') return;
        if (this.node(self).writeUnderWay !== undefined) this.persist(self);
        this.deliver(self);
      }
    }
    throw new Error(`node ${actor} was not elected`);
  }

  // Faults

  /** Drops what is on its way on these links, and what will be sent. Without `to`: all links of the node, both ways. */
  cut(actor: number, to?: number): void {
    for (const peer of this.nodes.keys()) {
      if (to === undefined || to === peer) this.cuts.add(`${actor} ${peer}`);
      if (to === undefined) this.cuts.add(`${peer} ${actor}`);
    }
    this.inFlight = this.inFlight.filter((packet) => !this.isCut(packet));
  }

  heal(): void {
    this.cuts.clear();
  }

  drop(from?: number, to?: number): void {
    this.inFlight = this.inFlight.filter(
      (packet) => (from ?? packet.from) !== packet.from || (to ?? packet.to) !== packet.to,
    );
  }

  /** Kills a node; of its write under way so many parts reached the disk. Messages to it are lost. */
  crash(actor: number, operations = 0): Disk {
    const node = this.node(actor);
    node.crash(operations);
    this.nodes.delete(node.self);
    this.inFlight = this.inFlight.filter(({ to }) => to !== node.self);
    return node.disk;
  }

  /** As {@link crash}, to be started again from the same disk. */
  crashed(actor: number, operations = 0): void {
    this.down.set(actorId(actor), this.crash(actor, operations));
  }

  restart(actor: number): void {
    this.start(actorId(actor), present(this.down.get(actorId(actor)), `node ${actor} has not crashed`));
  }

  start(actor: ActorId, disk: Disk): void {
    const node = new CoreNode({
      self: actor,
      configuration: this.options.spares?.includes(actor) === true ? NO_MEMBERS : this.configuration,
      disk,
      settings: this.options.settings ?? SETTINGS,
      diskPressure: this.pressures.get(actor) ?? 'ok',
      random: () => (actor % 10) / 10,
      nowMs: this.nowMs,
      entriesPerAppend: this.options.entriesPerAppend ?? 3,
    });
    this.nodes.set(actor, node);
    for (const peer of this.nodes.values()) {
      if (peer.self === actor) continue;
      this.link(actor, peer.self, 'open');
      this.link(peer.self, actor, 'open');
    }
  }

  private input<Result>(actor: number, run: (node: CoreNode) => Result): Result {
    const node = this.node(actor);
    const result = run(node);
    for (const packet of node.outbox.splice(0)) {
      if (this.isCut(packet) || !this.nodes.has(packet.to)) continue;
      this.inFlight.push(packet);
      this.onSent(packet);
    }
    if (this.writesSeen.get(node.self) !== node.writeUnderWay) {
      this.writesSeen.set(node.self, node.writeUnderWay);
      if (node.writeUnderWay !== undefined) this.onWrite(node);
    }
    return result;
  }

  private isCut({ from, to }: Packet): boolean {
    return this.cuts.has(`${from} ${to}`);
  }
}

function diskOf(given: { terms?: readonly number[]; term?: number; vote?: number; commitIndex?: number }): Disk {
  const terms = given.terms ?? [];
  return {
    ...emptyDisk(),
    hardState: {
      term: term(given.term ?? terms.at(-1) ?? 0),
      vote: given.vote === undefined ? undefined : actorId(given.vote),
    },
    entries: entriesOfTerms(terms),
    commitIndex: logIndex(given.commitIndex ?? 0),
  };
}

/** A log by the terms of its entries. Each body names term and index, as log matching demands. */
export function entriesOfTerms(terms: readonly number[]): LogEntry[] {
  return terms.map(
    (entryTerm, position): LogEntry => ({
      index: logIndex(position + 1),
      term: asTerm(entryTerm),
      data: `e${position + 1}`,
    }),
  );
}

function asTerm(value: number): Term {
  return term(value);
}
