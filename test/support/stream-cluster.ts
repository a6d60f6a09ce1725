import { setImmediate as turn } from 'node:timers/promises';
import {
  type ActorId,
  actorId,
  FlotillaError,
  type GroupId,
  groupId,
  LIMITS,
  logIndex,
  present,
} from '../../src/base/index.js';
import { CacheBudget } from '../../src/group/cache-budget.js';
import { type ClockReading, Deadlines, Group, type PeerTransport } from '../../src/group/index.js';
import { FIRST_VERSION, type Proposed } from '../../src/machine/index.js';
import { STREAM_KIND } from '../../src/machine/stream/index.js';
import type { Message, Settings } from '../../src/raft/index.js';
import { type BatchTransport, Stream, streamOn } from '../../src/stream/index.js';
import { batchesOf, type LogRecord, type Membership, type PackedBody, packBody } from '../../src/wire/index.js';
import { ManualClock } from '../support/manual-clock.js';
import { emptyGroupDisk, type GroupDisk, MemoryStorage } from '../support/memory-storage.js';
import { memberOf, Observed } from './group-parts.js';

export const GROUP: GroupId = groupId(1);
const SETTINGS: Settings = {
  electionTimeoutMs: 1000,
  heartbeatIntervalMs: 100,
  replicationWindow: { bytes: 1024 * 1024, messages: 16 },
};

export interface Sent {
  readonly from: ActorId;
  readonly to: ActorId;
  readonly message: Message;
  readonly records: readonly LogRecord[];
}

export interface Server {
  readonly actor: ActorId;
  readonly stream: Stream;
  readonly storage: MemoryStorage;
  readonly clock: ManualClock;
  readonly observed: Observed;
  readonly fatal: unknown[];
}

/** Replicas joined in memory. Messages move, and time passes, when the test says so. */
export class StreamCluster {
  readonly servers = new Map<ActorId, Server>();
  inFlight: Sent[] = [];
  /** Whether a follower's batch finds its way to the leader. */
  readonly cuts = new Set<ActorId>();
  /** Nodes that nobody can ask for the time. */
  readonly unasked = new Set<number>();
  /** How long every node's clock has gone steadily. */
  steadyMs = Number.POSITIVE_INFINITY;
  private readonly disks = new Map<ActorId, Map<GroupId, GroupDisk>>();
  private readonly cacheBytes: number;

  /** `spares` are no members, and know of none. */
  constructor(
    actors: readonly number[] = [1, 2, 3],
    options: { cacheBytes?: number; spares?: readonly number[] } = {},
  ) {
    this.cacheBytes = options.cacheBytes ?? 1024 * 1024;
    const voters = actors.map(actorId);
    const membership: Membership = {
      voters,
      outgoing: [],
      learners: [],
      members: voters.map(memberOf),
    };
    for (const actor of voters) this.disks.set(actor, new Map([[GROUP, emptyGroupDisk(membership, STREAM_KIND)]]));
    const nobody: Membership = { voters: [], outgoing: [], learners: [], members: [] };
    const spares = (options.spares ?? []).map(actorId);
    for (const actor of spares) this.disks.set(actor, new Map([[GROUP, emptyGroupDisk(nobody, STREAM_KIND)]]));
    for (const actor of [...voters, ...spares]) this.start(actor);
  }

  server(actor: number): Server {
    return present(this.servers.get(actorId(actor)), `node ${actor} does not run`);
  }

  stream(actor: number): Stream {
    return this.server(actor).stream;
  }

  /** Starts a node from what is on its disk; `instance`: of another data directory than the member of that name. */
  start(actor: number, instance = memberOf(actorId(actor)).instance): void {
    const self = actorId(actor);
    const disks = present(this.disks.get(self), `there is no node ${actor}`);
    const storage = new MemoryStorage(disks);
    const clock = new ManualClock();
    clock.stall(this.latestMs());
    const observed = new Observed();
    const fatal: unknown[] = [];
    let drawn = 0;
    const transport = this.transportOf(self);
    const shared = {
      clock,
      deadlines: new Deadlines(clock, SETTINGS.heartbeatIntervalMs / 2),
      // Election time-outs by actor id, and yet no two numbers alike.
      random: () => (actor % 10) / 10 + ++drawn / 2 ** 30,
      onFatal: (error: unknown) => fatal.push(error),
    };
    const node = {
      ...shared,
      self,
      instance,
      activeVersion: { current: FIRST_VERSION },
      settings: SETTINGS,
      cache: new CacheBudget(this.cacheBytes),
      storage,
      transport,
      clocks: {
        toleranceMs: LIMITS.clockToleranceMs,
        readingOf: (peer: ActorId) => this.readingOf(peer),
        steadyMs: () => this.steadyMs,
      },
    };
    const group = new Group({
      ...streamOn(GROUP, transport),
      node,
      group: GROUP,
      observer: observed,
    });
    const stream = new Stream({ ...shared, group, stored: storage.group(GROUP) });
    this.servers.set(self, { actor: self, stream, storage, clock, observed, fatal });
    stream.group.start();
    for (const peer of this.servers.values()) {
      if (peer.actor === self) continue;
      peer.stream.group.onLink(self, 'open');
      stream.group.onLink(peer.actor, 'open');
    }
  }

  /** Whoever runs is asked for the time, and answers at once. */
  private readingOf(peer: ActorId): ClockReading | undefined {
    const utcMs = this.unasked.has(peer) ? undefined : this.servers.get(peer)?.clock.utcMs();
    return utcMs === undefined ? undefined : { earliestMs: utcMs, latestMs: utcMs };
  }

  /** Kills a node. What its storage has not confirmed is lost; nobody who waits there hears of it. */
  crash(actor: number): void {
    this.servers.delete(actorId(actor));
    this.inFlight = this.inFlight.filter(({ from, to }) => from !== actor && to !== actor);
  }

  cut(actor: number): void {
    this.cuts.add(actorId(actor));
    this.inFlight = this.inFlight.filter(({ from, to }) => from !== actor && to !== actor);
  }

  heal(actor: number): void {
    this.cuts.delete(actorId(actor));
    for (const peer of this.servers.values()) {
      if (peer.actor === actor) continue;
      peer.stream.group.onLink(actorId(actor), 'open');
      this.stream(actor).group.onLink(peer.actor, 'open');
    }
  }

  /** Delivers messages and lets pending work run until nothing moves. Time stands still. */
  async settle(): Promise<void> {
    for (let quiet = 0, turns = 0; quiet < 3; turns++) {
      if (turns > 2000) throw new Error('two thousand turns, and something still moves');
      const moved = this.deliver();
      const ran = [...this.servers.values()].map(({ clock }) => clock.runSoon()).includes(true);
      await turn();
      quiet = moved || ran || this.inFlight.length > 0 ? 0 : quiet + 1;
    }
  }

  /** Lets time pass, for these nodes or all, in steps of 10 ms. */
  async advance(ms: number, ...actors: number[]): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      for (const { actor, clock } of this.servers.values()) {
        if (actors.length > 0 && !actors.includes(actor)) continue;
        clock.stall(10);
        clock.runTimers();
      }
      await this.settle();
    }
  }

  /** Lets everybody hear of what is committed: where no append follows, the leader tells it a little later. */
  async commitIsKnown(): Promise<void> {
    await this.settle();
    await this.advance(LIMITS.commitNoticeMs);
  }

  async elect(actor: number): Promise<void> {
    const stream = this.stream(actor);
    for (let waited = 0; stream.group.role !== 'leader'; waited += 10) {
      if (waited > 5000) throw new Error(`node ${actor} is not elected`);
      // Time passes for all, but only this one looks at its clock.
      for (const { clock } of this.servers.values()) clock.stall(10);
      this.server(actor).clock.runTimers();
      await this.settle();
    }
    await this.commitIsKnown();
  }

  /** True where there was anything to deliver. */
  deliver(): boolean {
    const due = this.inFlight.splice(0);
    for (const { from, to, message, records } of due) {
      if (this.cuts.has(from) || this.cuts.has(to)) continue;
      this.servers.get(to)?.stream.group.onMessage(from, message, records);
    }
    return due.length > 0;
  }

  /**
   * The namespaces of a node's committed events with their actors, in order: `1.2 /a` is counter 1, taken in by node 2.
   */
  async eventsOf(actor: number): Promise<string[]> {
    const stream = this.stream(actor);
    const events: string[] = [];
    for (const record of await this.recordsOf(actor, stream.group.commitIndex)) {
      if (record.kind !== 'events') continue;
      for (const { header } of batchesOf(record)) {
        for (let at = 0; at < header.count; at++) events.push(`${header.baseCounter + at}.${header.actor}`);
      }
    }
    return events;
  }

  /** From the log's begin on. */
  async recordsOf(actor: number, through: number): Promise<LogRecord[]> {
    const stream = this.stream(actor);
    const records: LogRecord[] = [];
    for (let next = stream.group.begin.index + 1; next <= through; ) {
      const part = await stream.group.read(logIndex(next), logIndex(through), 4096);
      if (part.length === 0) throw new Error(`node ${actor} gives out nothing at ${next}`);
      records.push(...part);
      next += part.length;
    }
    return records;
  }

  private latestMs(): number {
    return Math.max(0, ...[...this.servers.values()].map(({ clock }) => clock.nowMs()));
  }

  private transportOf(self: ActorId): PeerTransport & BatchTransport {
    return {
      send: (to, _group, message, records) => {
        if (!this.servers.has(to) || this.cuts.has(self) || this.cuts.has(to)) return false;
        this.inFlight.push({ from: self, to, message, records });
        return true;
      },
      forward: (to, _group, body, stamp): Promise<Proposed> => {
        const leader = this.servers.get(to);
        if (leader === undefined || this.cuts.has(self) || this.cuts.has(to)) {
          return Promise.reject(
            new FlotillaError('NO_LEADER', 'the link to the leader is down; the batch was not proposed'),
          );
        }
        return leader.stream.proposeFor(self, body, stamp);
      },
    };
  }
}

/** A batch of so many events. */
export function batch(count = 1, dataBytes = 8): PackedBody {
  return packBody(
    Array.from({ length: count }, (_, position) => ({
      namespace: `/n/${position % 3}`,
      data: Buffer.alloc(dataBytes, position),
    })),
  );
}

export { type Fate, fateOf, memberOf } from './group-parts.js';
