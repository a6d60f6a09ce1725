import { type ActorId, FlotillaError, type LogIndex, logIndex, type Random, seededRandom } from '../base/index.js';
import { isJoint, membersOf } from '../raft/index.js';
import type { Stream } from '../stream/index.js';
import type { LogRecord } from '../wire/index.js';
import { Clients } from './clients.js';
import { Cluster, NOBODY, SETTINGS } from './cluster.js';
import { Disasters } from './disasters.js';
import { noFigures } from './figures.js';
import { GlobTails } from './glob-tails.js';
import type { Host } from './host.js';
import { Operators } from './operators.js';
import { Outsiders } from './outsiders.js';
import type { PlantedBug } from './process.js';
import { SlowDisks } from './slow-disks.js';
import { Violation } from './violation.js';

/**
 * What happens beside the rest draws from a source of its own: it comes and goes without another history for all
 * others.
 */
const GLOB_TAILS = 0x676c6f62;
const SLOW_DISKS = 0x736c6f77;
const OUTSIDERS = 0x6f757473;

/** So many events are given to the event loop at once; promises settle after each of them. */
const EVENTS_PER_TURN = 256;

/** How late the age of an event may be noticed. */
const LATE_MS = 1500;

export interface SimulationOptions {
  readonly seed: number;
  readonly bug?: PlantedBug | undefined;
}

/** Servers, clients, operators and everything that goes wrong. One seed, one history. */
export class Simulation {
  readonly figures = noFigures();
  readonly cluster: Cluster;
  private readonly random: Random;
  private readonly quiescence: boolean;
  private readonly clients: Clients;
  private readonly globTails: GlobTails;

  constructor({ seed, bug }: SimulationOptions) {
    this.random = seededRandom(seed);
    this.quiescence = this.random() < 0.7;
    const storm = this.random() < 0.25;
    const spares = this.random() < 0.6 ? 2 : 0;
    this.cluster = new Cluster({
      seed,
      random: this.random,
      founders: this.random() < 0.3 ? 5 : 3,
      spares,
      segmentBytes: Math.floor(1024 * 2 ** (1 + 5 * this.random())),
      cacheBytes: Math.floor(512 * 2 ** (10 * this.random())),
      quiescence: this.quiescence,
      figures: this.figures,
      bug,
    });
    const { cluster } = this;
    this.clients = new Clients(cluster);
    const operators = new Operators(cluster, { busy: spares > 0, gapMsMax: storm ? 200 : 500 });
    const disasters = new Disasters({
      cluster,
      clients: this.clients,
      operators,
      gapMsMax: cluster.between(200, 1500),
      huntRate: storm ? 0.8 : this.random() ** 2,
      huntMsMax: storm ? 20 : 60,
      damages: this.random() < 0.5,
    });
    this.clients.begin();
    operators.begin();
    disasters.begin();
    this.globTails = new GlobTails(cluster, seededRandom(seed ^ GLOB_TAILS));
    this.globTails.begin();
    new SlowDisks(cluster, seededRandom(seed ^ SLOW_DISKS)).begin();
    new Outsiders(cluster, seededRandom(seed ^ OUTSIDERS), bug).begin();
    cluster.clocks.begin();
  }

  get steps(): number {
    return this.cluster.turns.steps;
  }

  get traceHash(): number {
    return this.cluster.traceHash;
  }

  /** Runs until so many inputs were taken. Rejects with the first violation. */
  async runSteps(steps: number): Promise<void> {
    const end = this.cluster.turns.steps + steps;
    await this.runWhile(() => this.cluster.turns.steps < end);
  }

  /** Ends all faults; then a leader must come, and afterwards all logs must become equal. */
  async heal(): Promise<void> {
    const { cluster } = this;
    cluster.calm = true;
    cluster.links.network.calm = true;
    cluster.clocks.end();
    for (const host of cluster.hosts.values()) {
      host.pausedUntilMs = 0;
      host.disk.heal();
    }
    cluster.links.heal();
    const slowUntilMs = Math.max(...[...cluster.hosts.values()].map(({ disk }) => disk.busyUntilMs));
    await this.runWhile(() => cluster.queue.nextMs <= slowUntilMs);
    for (const host of cluster.hosts.values()) cluster.start(host);
    cluster.links.heal();
    await this.within(10, 'a leader after the faults have ended', () => this.leader !== undefined);
    await this.within(50, 'equal logs after the faults have ended', () => this.logsAreEqual());
    await this.readEverything();
    await this.within(50, 'every tail with a glob gets what is committed', () => this.globTails.haveAll);
    this.globTails.end();
    await this.within(100, 'what is too old is given up once the clocks are right', () => this.nothingIsTooOld());
    if (this.quiescence) await this.restAndWake();
  }

  /** A group in which nothing happens quiesces, and is led again when its leader vanishes. */
  private async restAndWake(): Promise<void> {
    const { cluster, members } = this;
    const whole = members.every((actor) => cluster.hosts.get(actor)?.condition === 'whole');
    if (!whole || members.length < 3) return;
    const isQuiet = (actor: ActorId): boolean => cluster.hosts.get(actor)?.observed.stream?.group.isQuiesced === true;
    // What an operator began before the faults ended may still change who is a member.
    await this.within(
      20,
      'a group in which nothing happens quiesces',
      () => this.members.length > 0 && this.members.every(isQuiet),
    );
    const { leader } = this;
    if (leader === undefined || this.members.length < 3) return;
    cluster.crash(leader, true);
    await this.within(10, 'a group that rested is led again when its leader vanishes', () => this.leader !== undefined);
  }

  describe(): string {
    return this.cluster.describe();
  }

  private async within(electionTimeouts: number, property: string, holds: () => boolean): Promise<void> {
    const untilMs = this.cluster.queue.nowMs + electionTimeouts * SETTINGS.electionTimeoutMs;
    await this.runWhile(() => {
      if (holds()) return false;
      if (this.cluster.queue.nextMs > untilMs)
        throw new Violation(property, `not within ${electionTimeouts} election time-outs: ${this.describe()}`);
      return true;
    });
  }

  /** One that has committed a record of its own term. */
  private get leader(): Host | undefined {
    return [...this.cluster.hosts.values()].find(({ observed: { stream, records } }) => {
      return stream?.group.role === 'leader' && records[stream.group.commitIndex - 1]?.term === stream.group.term;
    });
  }

  /** As the leader has them; none where nobody leads. */
  private get members(): ActorId[] {
    return membersOf(this.leader?.observed.stream?.group.membership ?? NOBODY);
  }

  /** All members that are whole hold the same log, all of it committed, and no change of the members is under way. */
  private logsAreEqual(): boolean {
    const stream = this.leader?.observed.stream;
    if (stream === undefined || isJoint(stream.group.membership)) return false;
    const { index, checksum } = stream.group.tail;
    return membersOf(stream.group.membership).every((actor) => {
      const host = this.cluster.hosts.get(actor);
      const other = host?.observed.stream;
      if (host?.condition === 'lost') return true;
      return (
        other !== undefined &&
        other.group.tail.index === index &&
        other.group.tail.checksum === checksum &&
        other.group.commitIndex === index
      );
    });
  }

  /** What is kept by the leader of a stream whose events may have an age, and whatever wrong clocks have said of it. */
  private nothingIsTooOld(): boolean {
    const { cluster, leader } = this;
    const stream = leader?.observed.stream;
    if (leader === undefined || stream === undefined) return false;
    const { settings, first } = stream.state;
    if (settings?.maxAgeMs === undefined) return true;
    const isKept = (record: LogRecord): boolean =>
      record.kind === 'events' && record.firstCounter + record.eventCount > first.firstCounter;
    const oldest = leader.observed.records.find(isKept);
    return (
      oldest === undefined ||
      (cluster.clocks.births.ageMs(oldest, cluster.queue.nowMs) ?? 0) <= settings.maxAgeMs + LATE_MS
    );
  }

  /** Every whole member gives out what was committed, from the first record to the last. */
  private async readEverything(): Promise<void> {
    const { cluster } = this;
    const checks = this.members.flatMap((actor) => {
      const host = cluster.hosts.get(actor);
      return host?.condition === 'whole' ? [this.readAll(host)] : [];
    });
    let reading = true;
    const read = Promise.all(checks).finally(() => {
      reading = false;
    });
    await this.runWhile(() => reading);
    await read;
  }

  private async readAll({ actor, observed: { stream } }: Host): Promise<void> {
    const { records } = this.cluster.history;
    for (let next = (stream?.group.begin.index ?? 0) + 1; stream !== undefined && next <= stream.group.commitIndex; ) {
      if (next <= stream.group.begin.index) {
        // What is kept gets older while it is read.
        next = stream.group.begin.index + 1;
        continue;
      }
      const found = await readOrRemoved(stream, logIndex(next));
      if (found === 'removed') continue;
      for (const { index, bytes } of found) {
        const committed = records[index - 1];
        if (index !== next++ || committed === undefined || Buffer.compare(committed.bytes, bytes) !== 0)
          throw new Violation(
            'one order everywhere',
            `${actor} gives out another record ${index} than the committed one`,
          );
      }
      if (found.length === 0)
        throw new Violation('one order everywhere', `${actor} gives out nothing at record ${next}`);
    }
  }

  /**
   * Runs events one by one. Each is an immediate of its own, because Node settles
   * promises between two immediates: what an event leads to has happened before
   * it is looked at, and before the next one.
   */
  private runWhile(goesOn: () => boolean): Promise<void> {
    const { cluster } = this;
    return new Promise((resolve, reject) => {
      let ended = false;
      const turn = (last: boolean): void => {
        if (ended) return;
        try {
          cluster.afterEvent();
          if (goesOn()) cluster.runNext();
          else ended = true;
        } catch (error) {
          ended = true;
          reject(error);
        }
        if (ended) resolve();
        else if (last) plan();
      };
      const plan = (): void => {
        for (let planned = 1; planned <= EVENTS_PER_TURN; planned++) setImmediate(turn, planned === EVENTS_PER_TURN);
      };
      plan();
    });
  }
}

/** What was there when it was asked for may be given up before it is read from the disk. */
async function readOrRemoved(stream: Stream, from: LogIndex): Promise<readonly LogRecord[] | 'removed'> {
  try {
    return await stream.group.read(from, stream.group.commitIndex, 64 * 1024);
  } catch (error) {
    if (error instanceof FlotillaError && error.code === 'POSITION_REMOVED' && from <= stream.group.begin.index)
      return 'removed';
    throw error;
  }
}
