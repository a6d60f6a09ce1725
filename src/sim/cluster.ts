import { type ActorId, actorId, FlotillaError, logIndex, messageOf, present, type Random } from '../base/index.js';
import type { LinkState } from '../group/index.js';
import type { Proposed } from '../machine/index.js';
import type { Configuration, Settings } from '../raft/index.js';
import { type ClockMessage, type Membership, SPOKEN_VERSIONS } from '../wire/index.js';
import { requireOpenSegmentWhole } from './audit.js';
import { ClockFaults } from './clock-faults.js';
import { EventQueue } from './event-queue.js';
import type { Figures } from './figures.js';
import { allInvariants, CommittedHistory, type Invariant } from './invariants/index.js';
import { Ledger } from './ledger.js';
import { Machine, memberOf } from './machine.js';
import { MachineClock } from './machine-clock.js';
import { Network } from './network.js';
import { GROUP, type PlantedBug, Process, type StampedBody } from './process.js';
import { Violation } from './violation.js';
import { KnownRecords, type Letter, Witness } from './witness.js';

/** Short times, so that many elections fit into a run. */
export const SETTINGS: Settings = {
  electionTimeoutMs: 150,
  heartbeatIntervalMs: 30,
  replicationWindow: { bytes: 4000, messages: 6 },
};
export const NOBODY: Membership = { voters: [], outgoing: [], learners: [], members: [] };
/** A batch that was handed to a leader and not answered for so long has an unknown outcome. */
const FORWARD_TIMEOUT_MS = 800;

export interface ClusterOptions {
  readonly seed: number;
  readonly random: Random;
  readonly founders: number;
  readonly spares: number;
  readonly segmentBytes: number;
  readonly cacheBytes: number;
  /** Whether a group in which nothing happens rests. */
  readonly quiescence: boolean;
  readonly figures: Figures;
  readonly bug: PlantedBug | undefined;
}

/**
 * The machines, what runs on them, and what is between them: everything that happens to them is an event of one queue.
 */
export class Cluster {
  readonly queue = new EventQueue();
  readonly random: Random;
  readonly figures: Figures;
  readonly network: Network;
  readonly machines = new Map<ActorId, Machine>();
  readonly history: CommittedHistory;
  readonly ledger: Ledger;
  readonly clocks: ClockFaults;
  /** No faults any more. */
  calm = false;
  steps = 0;
  /** Of everything that happened, in order. */
  traceHash = 0;
  /** Called when a node has become leader. */
  onElected: (machine: Machine) => void = () => undefined;
  private readonly options: ClusterOptions;
  private readonly founders: Membership;
  private readonly invariants: readonly Invariant[];
  private readonly known = new KnownRecords();
  private readonly witnesses = new Map<ActorId, Witness>();
  private readonly leaders = new Set<number>();
  /** Whose process has taken the event that runs. */
  private touched: Machine | undefined;
  /** Checks that want to know what this event has committed. */
  private deferred: (() => void)[] = [];
  private violation: unknown;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.random = options.random;
    this.figures = options.figures;
    this.ledger = new Ledger(options.figures);
    this.history = new CommittedHistory((record) => {
      if (record.kind === 'configuration') this.figures.memberChanges++;
      if (record.kind === 'log-begin') this.figures.retentions++;
      if (record.kind === 'log-time') this.figures.logTimesSetBack++;
      this.figures.committed++;
      this.ledger.committed(record);
    });
    this.clocks = new ClockFaults({ ...options, queue: this.queue });
    this.invariants = allInvariants(this.history, SETTINGS.electionTimeoutMs, this.clocks);
    this.network = new Network({ random: this.random, queue: this.queue, deliver: (packet) => this.arrived(packet) });
    const voters = Array.from({ length: options.founders }, (_, position) => actorId(position + 1));
    this.founders = {
      voters,
      outgoing: [],
      learners: [],
      members: voters.map(memberOf),
      activeVersion: SPOKEN_VERSIONS.highest,
    };
    for (let made = 0; made < options.founders + options.spares; made++) this.addMachine();
  }

  // Time

  /** The next event, without what follows from it: promises settle once the caller has returned to the event loop. */
  runNext(): void {
    this.queue.runNext();
  }

  /** Looks at what the last event, and all that followed from it, has led to. Throws the first violation. */
  afterEvent(): void {
    const { touched } = this;
    this.touched = undefined;
    if (touched !== undefined) this.inspect(touched);
    for (const check of this.deferred.splice(0)) check();
    if (this.violation !== undefined) throw this.violation;
  }

  after(delayMs: number, run: () => void): void {
    this.queue.after(delayMs, run);
  }

  /** Gives a machine's process an input, when it is able to take one. Nothing where it died meanwhile. */
  inputAfter(delayMs: number, machine: Machine, input: (process: Process) => void): void {
    const { process } = machine;
    if (process !== undefined) this.scheduleOf(machine, () => process)(delayMs, () => input(process));
  }

  /** Runs after this event's checks. */
  defer(check: () => void): void {
    this.deferred.push(check);
  }

  between(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }

  // Machines

  addMachine(): Machine {
    const actor = actorId(Math.max(0, ...this.witnesses.keys()) + 1);
    const witness = new Witness(actor, this.known);
    this.witnesses.set(actor, witness);
    const machine = new Machine(actor, witness, this.queue, this.random);
    this.machines.set(actor, machine);
    this.start(machine);
    return machine;
  }

  /** It is carried away, for good. */
  retire(machine: Machine): void {
    machine.process?.kill();
    machine.process = undefined;
    this.machines.delete(machine.actor);
  }

  start(machine: Machine): void {
    if (machine.process !== undefined || machine.condition === 'lost' || !this.machines.has(machine.actor)) return;
    const schedule = this.scheduleOf(machine, () => process);
    const { actor, folder, disk, witness, clockRate } = machine;
    const process: Process = new Process({
      self: actor,
      folder,
      disk,
      witness,
      clock: new MachineClock(this.queue, clockRate, schedule, () => this.clocks.offsetMs(actor)),
      random: this.random,
      settings: { ...SETTINGS, quiescence: this.options.quiescence },
      segmentBytes: this.options.segmentBytes,
      cacheBytes: this.options.cacheBytes,
      firstMembership: this.founders.voters.includes(actor) ? this.founders : NOBODY,
      bug: this.options.bug,
      schedule,
      send: (letter) => this.sent(machine, letter),
      tellClock: (to, message) => this.clocks.carry(() => this.clockTold(actor, to, message)),
      forward: (from, to, batch) => this.forward(machine, from, to, batch),
      onTakesPart: (_, lost) => this.takesPart(machine, lost),
      onFailed: (failed, error) => this.failed(machine, failed, error),
    });
    machine.process = process;
    disk.attach(schedule);
    void process.begin();
  }

  /** The process ends, and with it, in a power cut, what the operating system had not written. */
  crash(machine: Machine, power: boolean): void {
    const { process } = machine;
    if (process === undefined) return;
    this.figures.crashes++;
    process.kill();
    machine.process = undefined;
    if (machine.disk.crash(power)) this.figures.lostWrites++;
    this.tellPeersOfEnd(machine);
  }

  restartAfter(delayMs: number, machine: Machine): void {
    this.after(delayMs, () => this.start(machine));
  }

  /** Of those that think they lead; there may be more than one. Anybody where there is none. */
  anyLeader(): Machine {
    const leaders = [...this.machines.values()].filter(({ witness }) => witness.replica?.group.role === 'leader');
    return leaders.length > 0 ? this.pick(leaders) : this.any();
  }

  any(): Machine {
    return this.pick([...this.machines.values()]);
  }

  pick<Item>(items: readonly Item[]): Item {
    return present(items[Math.floor(this.random() * items.length)], 'there is something to choose from');
  }

  // Links

  /** Cuts the links that `cut` names, and tells some of those who used them. */
  cutWhere(cut: (from: ActorId, to: ActorId) => boolean): void {
    const actors = [...this.machines.keys()];
    for (const from of actors) {
      for (const to of actors) if (from !== to && cut(from, to)) this.cutLink(from, to);
    }
  }

  healLinks(): void {
    this.network.heal();
    for (const machine of this.machines.values()) this.announceLinksOf(machine);
  }

  private cutLink(from: ActorId, to: ActorId): void {
    this.network.cut(from, to);
    const machine = this.machines.get(from);
    if (machine === undefined || this.random() < 0.5) return;
    this.inputAfter(this.between(1, 30), machine, (process) => {
      if (this.network.isCut(from, to)) process.linkChanged(to, 'closed');
    });
  }

  private announceLinksOf(machine: Machine): void {
    for (const peer of this.machines.values()) {
      if (
        peer === machine ||
        this.network.isCut(machine.actor, peer.actor) ||
        this.network.isCut(peer.actor, machine.actor)
      )
        continue;
      for (const [at, other] of [
        [machine, peer],
        [peer, machine],
      ] as const) {
        if (at.witness.replica === undefined || other.witness.replica === undefined) continue;
        this.inputAfter(this.between(1, 20), at, (process) => {
          if (other.witness.replica !== undefined) process.linkChanged(other.actor, 'open');
        });
      }
    }
  }

  private tellPeersOfEnd(machine: Machine): void {
    for (const peer of this.machines.values()) {
      if (peer === machine || this.random() < 0.3) continue;
      const state: LinkState = this.random() < 0.6 ? 'refused' : 'closed';
      this.inputAfter(this.between(1, 30), peer, (process) => {
        if (machine.process === undefined) process.linkChanged(machine.actor, state);
      });
    }
  }

  private sent(machine: Machine, letter: Letter): void {
    const localMs = machine.process?.clock.nowMs() ?? 0;
    if (letter.message !== undefined)
      for (const invariant of this.invariants) invariant.sent?.(letter, machine.witness, localMs);
    this.network.send(letter);
  }

  private clockTold(from: ActorId, to: ActorId, message: ClockMessage): void {
    const machine = this.machines.get(to);
    if (machine !== undefined && !this.network.isCut(from, to))
      this.inputAfter(0, machine, (process) => process.hearClock(from, message));
  }

  private arrived(packet: Letter): void {
    const machine = this.machines.get(packet.to);
    if (machine === undefined) return;
    this.inputAfter(0, machine, (process) => {
      if (packet.message === undefined) {
        process.hear(packet.from);
        return;
      }
      for (const invariant of this.invariants) invariant.received?.(packet, machine.witness, process.clock.nowMs());
      process.receive(packet);
    });
  }

  /** A batch goes to the leader and the answer comes back; where either gets lost, nobody can say what became of it. */
  private forward(machine: Machine, from: Process, to: ActorId, { body, stamp }: StampedBody): Promise<Proposed> {
    const schedule = this.scheduleOf(machine, () => from);
    return new Promise((resolve, reject) => {
      schedule(FORWARD_TIMEOUT_MS, () =>
        reject(new FlotillaError('OUTCOME_UNKNOWN', 'the link was lost after the batch was sent')),
      );
      const answer = (settle: () => void): void => {
        if (!this.network.isCut(to, machine.actor) && !this.network.loses()) schedule(this.network.delayMs(), settle);
      };
      if (this.network.isCut(machine.actor, to) || this.network.loses()) return;
      this.after(this.network.delayMs(), () => {
        const leader = this.machines.get(to);
        if (leader === undefined) return;
        this.inputAfter(0, leader, ({ replica }) => {
          replica?.proposeFor(machine.actor, body, stamp).then(
            (proposed) => answer(() => resolve(proposed)),
            (error: unknown) => answer(() => reject(error)),
          );
        });
      });
    });
  }

  // What follows

  private scheduleOf(machine: Machine, processOf: () => Process): (delayMs: number, run: () => void) => void {
    return (delayMs, run) => {
      const attempt = (): void => {
        if (!processOf().alive) return;
        if (machine.pausedUntilMs > this.queue.nowMs) {
          this.queue.at(machine.pausedUntilMs, attempt);
          return;
        }
        this.touched = machine;
        this.steps++;
        run();
      };
      this.queue.after(delayMs, attempt);
    };
  }

  private takesPart(machine: Machine, lost: boolean): void {
    if (lost) this.figures.lostWrites++;
    const { witness, disk, folder } = machine;
    if (machine.condition === 'damaged')
      requireOpenSegmentWhole(disk, `${folder.groupsPath}/${GROUP}/segments`, witness, logIndex(witness.stored.length));
    for (const invariant of this.invariants) invariant.started?.(machine.witness);
    machine.witness.changedFrom = Number.POSITIVE_INFINITY;
    this.announceLinksOf(machine);
  }

  private inspect({ witness, actor }: Machine): void {
    const { replica } = witness;
    if (replica === undefined) return;
    this.options.bug?.afterInput?.(replica);
    for (const invariant of this.invariants) invariant.stepped?.(witness, this.witnesses);
    this.noticeElection(actor);
    this.traceHash =
      Math.imul(
        this.traceHash ^
          (actor +
            31 * replica.group.term +
            101 * replica.group.commitIndex +
            replica.group.tail.checksum +
            Math.floor(1000 * this.queue.nowMs)),
        0x01000193,
      ) | 0;
    this.figures.truncations += witness.truncations;
    witness.truncations = 0;
    if (replica.group.isQuiesced && !witness.rests) this.figures.rests++;
    witness.rests = replica.group.isQuiesced;
    this.figures.snapshots += witness.snapshots;
    if (replica.group.begin.index > witness.beginIndex) this.figures.cuts++;
    witness.beginIndex = replica.group.begin.index;
    witness.snapshots = 0;
    witness.changedFrom = Number.POSITIVE_INFINITY;
    witness.configurationBefore = replica.group.membership;
  }

  private noticeElection(actor: ActorId): void {
    const machine = this.machines.get(actor);
    const replica = machine?.witness.replica;
    if (machine === undefined || replica?.group.role !== 'leader' || this.leaders.has(replica.group.term)) return;
    this.leaders.add(replica.group.term);
    this.figures.elections++;
    this.onElected(machine);
  }

  /** A process says that it can't go on. It must have a reason. */
  private failed(machine: Machine, process: Process, error: unknown): void {
    process.kill();
    machine.process = undefined;
    machine.disk.crash(false);
    this.tellPeersOfEnd(machine);
    const code = error instanceof FlotillaError ? error.code : undefined;
    if (code === 'DATA_LOSS' && machine.condition !== 'whole') {
      this.figures.damagesRefused++;
      machine.condition = 'lost';
    } else if (isDiskFailure(error)) {
      this.figures.failStops++;
      this.restartAfter(this.between(10, 400), machine);
    } else {
      this.violation ??=
        error instanceof Violation
          ? error
          : new Violation('a node stops only for a reason', `${machine.actor}: ${messageOf(error)}`);
    }
  }

  describe(): string {
    return [...this.machines.values()]
      .map(({ actor, witness: { replica }, condition }) =>
        replica === undefined
          ? `${actor} down (${condition})`
          : `${actor} ${replica.group.role} term ${replica.group.term} log ${replica.group.commitIndex}/${replica.group.tail.index} of ${describeConfiguration(replica.group.membership)}`,
      )
      .join(', ');
  }
}

function describeConfiguration({ voters, outgoing, learners }: Configuration): string {
  return `${voters}${outgoing.length > 0 ? ` from ${outgoing}` : ''}${learners.length > 0 ? ` learning ${learners}` : ''}`;
}

function isDiskFailure(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && (cause.code === 'EIO' || cause.code === 'ENOSPC')) return true;
  }
  return false;
}
