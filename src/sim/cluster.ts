import { type ActorId, actorId, FlotillaError, logIndex, messageOf, present, type Random } from '../base/index.js';

import type { Configuration, Settings } from '../raft/index.js';
import type { StreamGroup } from '../stream/index.js';
import type { Membership } from '../wire/index.js';
import { AcknowledgementChecker } from './acknowledgement-checker.js';
import { requireOpenSegmentWhole } from './audit.js';
import { ClockFaults } from './clock-faults.js';
import { EventQueue } from './event-queue.js';
import type { Figures } from './figures.js';
import { Host } from './host.js';
import { HostClock } from './host-clock.js';
import { allInvariants, CommittedHistory, type Invariant } from './invariants/index.js';
import { Links } from './links.js';
import { memberOf } from './node-folder.js';
import { KnownRecords, ObservedNode } from './observed-node.js';
import { GROUP, type PlantedBug, Process } from './process.js';
import { Turns } from './turns.js';
import { Violation } from './violation.js';

/** Short times, so that many elections fit into a run. */
export const SETTINGS: Settings = {
  electionTimeoutMs: 150,
  heartbeatIntervalMs: 30,
  replicationWindow: { bytes: 4000, messages: 6 },
};
export const NOBODY: Membership = { voters: [], outgoing: [], learners: [], members: [] };

export interface ClusterOptions {
  readonly seed: number;
  readonly random: Random;
  readonly founders: number;
  readonly spares: number;
  readonly segmentBytes: number;
  readonly cacheBytes: number;
  /** Whether a group in which nothing happens quiesces. */
  readonly quiescence: boolean;
  readonly figures: Figures;
  readonly bug: PlantedBug | undefined;
}

/**
 * The hosts, what runs on them, and what is between them: everything that happens to them is an event of one queue.
 */
export class Cluster {
  readonly queue = new EventQueue();
  readonly random: Random;
  readonly figures: Figures;
  readonly turns: Turns;
  readonly links: Links;
  readonly hosts = new Map<ActorId, Host>();
  readonly history: CommittedHistory;
  readonly acknowledgements: AcknowledgementChecker;
  readonly clocks: ClockFaults;
  /** No faults any more. */
  calm = false;
  /** Made of everything that happened, in order. */
  traceHash = 0;
  /** Called when a node has become leader. */
  onElected: (host: Host) => void = () => undefined;
  private readonly options: ClusterOptions;
  private readonly founders: Membership;
  private readonly invariants: readonly Invariant[];
  private readonly known = new KnownRecords();
  private readonly observedNodes = new Map<ActorId, ObservedNode>();
  private readonly leaders = new Set<number>();
  /** Checks that want to know what this event has committed. */
  private deferred: (() => void)[] = [];
  private violation: unknown;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.random = options.random;
    this.figures = options.figures;
    this.acknowledgements = new AcknowledgementChecker(options.figures);
    this.history = new CommittedHistory((record) => {
      if (record.kind === 'configuration') this.figures.memberChanges++;
      if (record.kind === 'log-begin') this.figures.retentions++;
      if (record.kind === 'log-time') this.figures.logTimesSetBack++;
      this.figures.committed++;
      this.acknowledgements.committed(record);
    });
    this.clocks = new ClockFaults({ ...options, queue: this.queue });
    this.invariants = allInvariants(this.history, SETTINGS.electionTimeoutMs, this.clocks);
    this.turns = new Turns(this.queue);
    const { random, queue, turns, hosts, invariants } = this;
    this.links = new Links({ random, queue, turns, hosts, invariants });
    const voters = Array.from({ length: options.founders }, (_, position) => actorId(position + 1));
    this.founders = {
      voters,
      outgoing: [],
      learners: [],
      members: voters.map(memberOf),
    };
    for (let made = 0; made < options.founders + options.spares; made++) this.addHost();
  }

  // Time

  /** The next event, without what follows from it: promises settle once the caller has returned to the event loop. */
  runNext(): void {
    this.queue.runNext();
  }

  /** Looks at what the last event, and all that followed from it, has led to. Throws the first violation. */
  afterEvent(): void {
    const touched = this.turns.takeTouched();
    if (touched !== undefined) this.inspect(touched);
    for (const check of this.deferred.splice(0)) check();
    if (this.violation !== undefined) throw this.violation;
  }

  after(delayMs: number, run: () => void): void {
    this.queue.after(delayMs, run);
  }

  /** Runs after this event's checks. */
  defer(check: () => void): void {
    this.deferred.push(check);
  }

  between(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }

  // Hosts

  addHost(): Host {
    const actor = actorId(Math.max(0, ...this.observedNodes.keys()) + 1);
    const observed = new ObservedNode(actor, this.known);
    this.observedNodes.set(actor, observed);
    const host = new Host(actor, observed, this.queue, this.random);
    this.hosts.set(actor, host);
    this.start(host);
    return host;
  }

  /** It is carried away, for good. */
  retire(host: Host): void {
    host.process?.kill();
    host.process = undefined;
    this.hosts.delete(host.actor);
  }

  start(host: Host): void {
    if (host.process !== undefined || host.condition === 'lost' || !this.hosts.has(host.actor)) return;
    const schedule = this.turns.scheduleOf(host, () => process);
    const { actor, folder, disk, observed, clockRate } = host;
    const process: Process = new Process({
      self: actor,
      folder,
      disk,
      observed,
      clock: new HostClock(this.queue, clockRate, schedule, () => this.clocks.offsetMs(actor)),
      random: this.random,
      settings: { ...SETTINGS, quiescence: this.options.quiescence },
      segmentBytes: this.options.segmentBytes,
      cacheBytes: this.options.cacheBytes,
      firstMembership: this.founders.voters.includes(actor) ? this.founders : NOBODY,
      bug: this.options.bug,
      schedule,
      links: {
        send: (letter) => this.links.send(host, letter),
        tellClock: (to, message) => this.clocks.carry(() => this.links.tellClock(actor, to, message)),
        forward: (to, batch) => this.links.forward(host, process, to, batch),
      },
      events: {
        takesPart: (lost) => this.takesPart(host, lost),
        failed: (error) => this.failed(host, process, error),
      },
    });
    host.process = process;
    disk.attach(schedule);
    void process.begin();
  }

  /** The process ends, and with it, in a power cut, what the operating system had not written. */
  crash(host: Host, power: boolean): void {
    const { process } = host;
    if (process === undefined) return;
    this.figures.crashes++;
    process.kill();
    host.process = undefined;
    if (host.disk.crash(power)) this.figures.lostWrites++;
    this.links.tellPeersOfEnd(host);
  }

  restartAfter(delayMs: number, host: Host): void {
    this.after(delayMs, () => this.start(host));
  }

  /** One of those that think they lead; there may be several. Any host where there is none. */
  anyLeader(): Host {
    const leaders = [...this.hosts.values()].filter(({ observed }) => observed.stream?.group.role === 'leader');
    return leaders.length > 0 ? this.pick(leaders) : this.any();
  }

  any(): Host {
    return this.pick([...this.hosts.values()]);
  }

  pick<Item>(items: readonly Item[]): Item {
    return present(items[Math.floor(this.random() * items.length)], 'there is something to choose from');
  }

  // What follows

  private takesPart(host: Host, lost: boolean): void {
    if (lost) this.figures.lostWrites++;
    const { observed, disk, folder } = host;
    if (host.condition === 'damaged')
      requireOpenSegmentWhole(
        disk,
        `${folder.groupsPath}/${GROUP}/segments`,
        observed,
        logIndex(observed.stored.length),
      );
    for (const invariant of this.invariants) invariant.started?.(host.observed);
    host.observed.changedFrom = Number.POSITIVE_INFINITY;
    this.links.announce(host);
  }

  private inspect({ observed, actor }: Host): void {
    const { stream } = observed;
    if (stream === undefined) return;
    this.options.bug?.afterInput?.(stream);
    for (const invariant of this.invariants) invariant.stepped?.(observed, this.observedNodes);
    this.noticeElection(actor);
    this.traceHash =
      Math.imul(
        this.traceHash ^
          (actor +
            31 * stream.group.term +
            101 * stream.group.commitIndex +
            stream.group.tail.checksum +
            Math.floor(1000 * this.queue.nowMs)),
        0x01000193,
      ) | 0;
    this.figures.truncations += observed.truncations;
    observed.truncations = 0;
    if (stream.group.isQuiesced && !observed.quiesced) this.figures.quiesced++;
    observed.quiesced = stream.group.isQuiesced;
    this.figures.snapshots += observed.snapshots;
    if (stream.group.begin.index > observed.beginIndex) this.figures.cuts++;
    observed.beginIndex = stream.group.begin.index;
    observed.snapshots = 0;
    observed.changedFrom = Number.POSITIVE_INFINITY;
    observed.configurationBefore = stream.group.membership;
  }

  private noticeElection(actor: ActorId): void {
    const host = this.hosts.get(actor);
    const stream = host?.observed.stream;
    if (host === undefined || stream?.group.role !== 'leader' || this.leaders.has(stream.group.term)) return;
    this.leaders.add(stream.group.term);
    this.figures.elections++;
    this.onElected(host);
  }

  /** A process says that it can't go on. It must have a reason. */
  private failed(host: Host, process: Process, error: unknown): void {
    process.kill();
    host.process = undefined;
    host.disk.crash(false);
    this.links.tellPeersOfEnd(host);
    const code = error instanceof FlotillaError ? error.code : undefined;
    if (code === 'DATA_LOSS' && host.condition !== 'whole') {
      this.figures.damagesRefused++;
      host.condition = 'lost';
    } else if (isDiskFailure(error)) {
      this.figures.failStops++;
      this.restartAfter(this.between(10, 400), host);
    } else {
      this.violation ??=
        error instanceof Violation
          ? error
          : new Violation('a node stops only for a reason', `${host.actor}: ${messageOf(error)}`);
    }
  }

  describe(): string {
    return [...this.hosts.values()]
      .map(({ actor, observed: { stream }, condition }) =>
        stream === undefined ? `${actor} down (${condition})` : describeGroup(actor, stream.group),
      )
      .join(', ');
  }
}

function describeConfiguration({ voters, outgoing, learners }: Configuration): string {
  const from = outgoing.length > 0 ? ` from ${outgoing}` : '';
  return `${voters}${from}${learners.length > 0 ? ` learning ${learners}` : ''}`;
}

function isDiskFailure(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && (cause.code === 'EIO' || cause.code === 'ENOSPC')) return true;
  }
  return false;
}

function describeGroup(actor: ActorId, { role, term, commitIndex, tail, membership }: StreamGroup): string {
  return `${actor} ${role} term ${term} log ${commitIndex}/${tail.index} of ${describeConfiguration(membership)}`;
}
