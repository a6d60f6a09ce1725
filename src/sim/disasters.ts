import type { ActorId } from '../base/index.js';
import type { Clients } from './clients.js';
import type { Cluster } from './cluster.js';
import { damage } from './damage.js';
import type { Host } from './host.js';
import type { Operators } from './operators.js';

/** What strikes, and how often compared with the others. */
interface Disaster {
  readonly weight: number;
  readonly strike: () => void;
}

/** A leader that leads for so long is toppled. */
const REIGN_MS_MAX = 2000;

export interface DisastersOptions {
  readonly cluster: Cluster;
  readonly clients: Clients;
  readonly operators: Operators;
  readonly gapMsMax: number;
  /**
   * How many leaders fall soon after their election: old records spread that way, and are not yet safe (figure 3.7).
   */
  readonly huntRate: number;
  /** The longest wait before such a leader falls. */
  readonly huntMsMax: number;
  /** Whether disks may also change what is on them. */
  readonly damages: boolean;
}

/** Everything that goes wrong, and what makes it worse. */
export class Disasters {
  private readonly cluster: Cluster;
  private readonly clients: Clients;
  private readonly operators: Operators;
  private readonly options: DisastersOptions;
  private readonly table: readonly Disaster[];
  private readonly weights: number;

  constructor(options: DisastersOptions) {
    this.options = options;
    this.cluster = options.cluster;
    this.clients = options.clients;
    this.operators = options.operators;
    const { cluster } = this;
    this.table = [
      { weight: 20, strike: () => this.crash(cluster.any(), false) },
      { weight: 15, strike: () => this.crash(cluster.any(), true) },
      { weight: 5, strike: () => this.crashAll(true) },
      { weight: 3, strike: () => this.crashAll(false) },
      { weight: 4, strike: () => this.restartStorm(cluster.any()) },
      { weight: 5, strike: () => this.restart(cluster.any()) },
      { weight: 14, strike: () => this.pause(cluster.random() < 0.5 ? cluster.anyLeader() : cluster.any()) },
      { weight: 8, strike: () => this.operators.transfer() },
      { weight: 8, strike: () => this.cut(isolationOf(new Set([cluster.any().actor]))) },
      { weight: 6, strike: () => this.cut(isolationOf(this.half())) },
      { weight: 6, strike: () => this.cut(() => cluster.random() < 0.3) },
      { weight: 3, strike: () => this.cut(ringOf([...cluster.hosts.keys()])) },
      { weight: 3, strike: () => this.cut(bridgeOf(this.half(), cluster.any().actor)) },
      { weight: 14, strike: () => this.operators.changeSettings() },
      { weight: 4, strike: () => this.failSync(cluster.any()) },
      { weight: 3, strike: () => this.fillDisk(cluster.any()) },
      { weight: 5, strike: () => this.slowDisk(cluster.any()) },
      { weight: options.damages ? 6 : 0, strike: () => this.damageDisk(cluster.any()) },
    ];
    this.weights = this.table.reduce((sum, { weight }) => sum + weight, 0);
  }

  begin(): void {
    this.cluster.after(this.cluster.between(50, 200), () => this.act());
    this.cluster.onElected = (host) => {
      this.limitReign(host);
      this.hunt(host);
    };
  }

  private act(): void {
    const { cluster } = this;
    if (cluster.calm) return;
    cluster.after(cluster.between(10, this.options.gapMsMax), () => this.act());
    let choice = cluster.random() * this.weights;
    const disaster = this.table.find(({ weight }) => {
      choice -= weight;
      return choice < 0;
    });
    disaster?.strike();
  }

  private crash(host: Host, power: boolean): void {
    this.cluster.crash(host, power);
    this.cluster.restartAfter(this.cluster.between(10, 600), host);
  }

  private crashAll(power: boolean): void {
    for (const host of this.cluster.hosts.values()) this.crash(host, power);
  }

  /** It falls again while it is starting. */
  private restartStorm(host: Host): void {
    for (let atMs = 0; atMs < 60; atMs += this.cluster.between(3, 20)) {
      this.cluster.after(atMs, () => {
        if (this.cluster.calm) return;
        this.cluster.crash(host, this.cluster.random() < 0.5);
        this.cluster.start(host);
      });
    }
  }

  /** As an operator does it: everything is written and closed before. */
  private restart(host: Host): void {
    const { cluster } = this;
    cluster.turns.inputAfter(0, host, (process) => {
      const end = (): void => {
        if (host.process !== process) return;
        cluster.crash(host, false);
        cluster.restartAfter(cluster.between(5, 100), host);
      };
      process.stop().then(end, end);
    });
  }

  /** When it wakes up, a client is quicker than its clock. */
  private pause(host: Host): void {
    host.pausedUntilMs = this.cluster.queue.nowMs + this.cluster.between(20, 600);
    this.clients.read(host);
  }

  private cut(cuts: (from: ActorId, to: ActorId) => boolean): void {
    this.cluster.links.cutWhere(cuts);
    this.cluster.after(this.cluster.between(20, 500), () => this.cluster.links.heal());
  }

  private half(): Set<ActorId> {
    return new Set([...this.cluster.hosts.keys()].filter(() => this.cluster.random() < 0.5));
  }

  private failSync({ disk }: Host): void {
    disk.troubles.syncFails = true;
  }

  private fillDisk({ disk }: Host): void {
    disk.troubles.full = true;
    this.cluster.after(this.cluster.between(50, 800), () => {
      disk.troubles.full = false;
    });
  }

  private slowDisk({ disk }: Host): void {
    const { cluster } = this;
    if (cluster.random() < 0.1) disk.troubles.stallMs = cluster.between(1000, 10_000);
    else disk.troubles.slowRate = 0.3;
    cluster.after(cluster.between(50, 800), () => {
      disk.troubles.stallMs = 0;
      disk.troubles.slowRate = 0;
    });
  }

  /**
   * Only one at a time, and only where the others are a quorum without it in all
   * memberships that may be in force: what is on a majority is then on a host
   * that has not forgotten it.
   */
  private damageDisk(host: Host): void {
    const { cluster } = this;
    if (this.operators.broken !== undefined || !this.canSpare(host)) return;
    cluster.crash(host, false);
    if (damage(host.disk, cluster.random) !== undefined) {
      cluster.figures.damages++;
      host.condition = 'damaged';
    }
    cluster.restartAfter(cluster.between(10, 200), host);
    // What it still gives out has to be right.
    for (let reads = 0; reads < 8; reads++) cluster.after(cluster.between(100, 1500), () => this.clients.read(host));
  }

  private canSpare(host: Host): boolean {
    const { history, hosts } = this.cluster;
    const committed = history.records.findLast(({ kind }) => kind === 'configuration')?.index ?? 0;
    return [...hosts.values()].every(({ observed }) => {
      const { stream, records } = observed;
      if (stream === undefined) return false;
      const latest = records.findLast(({ kind }) => kind === 'configuration')?.index ?? 0;
      const { voters, outgoing } = stream.group.membership;
      const spares = (half: readonly ActorId[]): boolean => half.length >= 3 || !half.includes(host.actor);
      return latest < committed || (spares(voters) && spares(outgoing));
    });
  }

  /** Luck may spare a leader for a whole run, which then shows nothing of elections. */
  private limitReign(host: Host): void {
    const { cluster } = this;
    const { stream } = host.observed;
    const term = stream?.group.term;
    cluster.after(REIGN_MS_MAX, () => {
      if (cluster.calm || stream === undefined || host.observed.stream !== stream) return;
      if (stream.group.role !== 'leader' || stream.group.term !== term) return;
      this.topple(host);
      this.limitReign(host);
    });
  }

  private hunt(host: Host): void {
    const { cluster } = this;
    if (cluster.calm || cluster.random() > this.options.huntRate) return;
    cluster.after(cluster.between(1, this.options.huntMsMax), () => {
      if (!cluster.calm && cluster.hosts.has(host.actor)) this.topple(host);
    });
  }

  private topple(host: Host): void {
    if (this.cluster.random() < 0.5) this.crash(host, this.cluster.random() < 0.5);
    else this.cut(isolationOf(new Set([host.actor])));
  }
}

function isolationOf(inside: ReadonlySet<ActorId>): (from: ActorId, to: ActorId) => boolean {
  return (from, to) => inside.has(from) !== inside.has(to);
}

/** Every host reaches its two neighbours and no other. */
function ringOf(actors: readonly ActorId[]): (from: ActorId, to: ActorId) => boolean {
  return (from, to) => {
    const distance = Math.abs(actors.indexOf(from) - actors.indexOf(to));
    return distance !== 1 && distance !== actors.length - 1;
  };
}

/** Two halves that only one host reaches both of. */
function bridgeOf(half: ReadonlySet<ActorId>, bridge: ActorId): (from: ActorId, to: ActorId) => boolean {
  return (from, to) => from !== bridge && to !== bridge && half.has(from) !== half.has(to);
}
