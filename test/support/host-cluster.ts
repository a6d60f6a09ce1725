import { setImmediate as turn } from 'node:timers/promises';
import { type ActorId, actorId, FlotillaError, type GroupId, groupId, present } from '../../src/base/index.js';
import { GroupHost } from '../../src/group/index.js';
import { STREAM_KIND } from '../../src/machine/stream/index.js';
import type { Message, Settings } from '../../src/raft/index.js';
import { type HostedStream, type NodeTransport, type Stream, StreamHost } from '../../src/stream/index.js';
import type { LogRecord, Membership } from '../../src/wire/index.js';
import { ManualClock } from '../support/manual-clock.js';
import { emptyGroupDisk, type GroupDisk, MemoryStorage } from '../support/memory-storage.js';
import { memberOf, Observed } from './group-parts.js';

export const SETTINGS: Settings = {
  electionTimeoutMs: 1000,
  heartbeatIntervalMs: 100,
  replicationWindow: { bytes: 1024 * 1024, messages: 16 },
  quiescence: true,
};

/** What one node says to another: a message of a group, or that it is alive. */
export interface Said {
  readonly from: ActorId;
  readonly to: ActorId;
  readonly what?: { readonly group: GroupId; readonly message: Message; readonly records: readonly LogRecord[] };
}

export interface HostNode {
  readonly actor: ActorId;
  readonly host: GroupHost;
  readonly streams: StreamHost;
  readonly clock: ManualClock;
  readonly storage: MemoryStorage;
  readonly unknownGroups: GroupId[];
  readonly fatal: unknown[];
}

/** Three nodes that host the same groups, joined in memory. Everything that is said in a turn arrives in the next. */
export class HostCluster {
  readonly nodes = new Map<ActorId, HostNode>();
  readonly groups: readonly GroupId[];
  /** Since a test last emptied it. */
  said: Said[] = [];
  /** Nodes that hear nobody and are heard by nobody, and no link tells of it. */
  readonly cut = new Set<ActorId>();
  private inFlight: Said[] = [];
  private readonly disks = new Map<ActorId, Map<GroupId, GroupDisk>>();

  /** `stored`: further groups on the disks, which no node takes part in yet. */
  constructor(groups: number, stored = 0) {
    const actors = [1, 2, 3].map(actorId);
    const all = Array.from({ length: groups + stored }, (_, position) => groupId(position + 1));
    this.groups = all.slice(0, groups);
    const membership: Membership = { voters: actors, outgoing: [], learners: [], members: actors.map(memberOf) };
    for (const actor of actors)
      this.disks.set(actor, new Map(all.map((group) => [group, emptyGroupDisk(membership, STREAM_KIND)])));
    for (const actor of actors) this.start(actor);
  }

  node(actor: number): HostNode {
    return present(this.nodes.get(actorId(actor)), `node ${actor} does not run`);
  }

  replica(actor: number, group: number): Stream {
    return present(this.node(actor).streams.get(groupId(group)), `node ${actor} has no group ${group}`);
  }

  start(actor: number): void {
    const self = actorId(actor);
    const storage = new MemoryStorage(present(this.disks.get(self), `there is no node ${actor}`));
    const clock = new ManualClock();
    clock.stall(Math.max(0, ...[...this.nodes.values()].map((node) => node.clock.nowMs())));
    const unknownGroups: GroupId[] = [];
    const fatal: unknown[] = [];
    let draws = actor;
    const shared = {
      storage,
      transport: this.transportOf(self),
      clock,
      // Differs from node to node and from group to group.
      random: () => (draws++ % 10) / 10,
      onFatal: (error: unknown) => fatal.push(error),
    };
    const host = new GroupHost({
      ...shared,
      cacheBytes: 1024 * 1024,
      self,
      instance: memberOf(self).instance,
      settings: SETTINGS,
      onUnknownGroup: (group) => unknownGroups.push(group),
    });
    const streams = new StreamHost({ ...shared, groups: host });
    for (const group of this.groups) streams.add(hosted(group));
    this.nodes.set(self, { actor: self, host, streams, clock, storage, unknownGroups, fatal });
    host.start();
    for (const peer of this.nodes.values()) {
      if (peer.actor === self) continue;
      peer.host.onLink(self, 'open');
      host.onLink(peer.actor, 'open');
    }
  }

  /** `refused`: the others' links say that its process is gone; else nobody is told. */
  crash(actor: number, news: 'refused' | 'none'): void {
    this.nodes.delete(actorId(actor));
    this.inFlight = this.inFlight.filter(({ from, to }) => from !== actor && to !== actor);
    if (news === 'refused') for (const { host } of this.nodes.values()) host.onLink(actorId(actor), 'refused');
  }

  /** Everything that is said, and whatever follows from it, until nothing moves. Time stands still. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      const due = this.inFlight.splice(0);
      for (const { from, to, what } of due) {
        const node = this.nodes.get(to);
        if (node === undefined || this.cut.has(from) || this.cut.has(to)) continue;
        node.host.onHeard(from);
        if (what !== undefined) node.host.onMessage(from, what.group, what.message, what.records);
      }
      const ran = [...this.nodes.values()].map(({ clock }) => clock.runSoon()).includes(true);
      await turn();
      quiet = due.length > 0 || ran || this.inFlight.length > 0 ? 0 : quiet + 1;
    }
  }

  async advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      for (const { clock } of this.nodes.values()) {
        clock.stall(10);
        clock.runTimers();
      }
      await this.settle();
    }
  }

  /** Lets time pass until `holds`, for at most so long; returns how long it took. */
  async advanceUntil(what: string, withinMs: number, holds: () => boolean): Promise<number> {
    for (let passed = 0; ; passed += 10) {
      if (holds()) return passed;
      if (passed >= withinMs) throw new Error(`not within ${withinMs} ms: ${what}`);
      await this.advance(10);
    }
  }

  /** By group; undefined where the running nodes do not agree, or that one does not lead. */
  leaders(): (ActorId | undefined)[] {
    return this.groups.map((group) => {
      const replicas = [...this.nodes.keys()].map((actor) => this.replica(actor, group));
      const [leader, ...others] = new Set(replicas.map((replica) => replica.group.leader));
      return others.length === 0 && replicas.some(({ group: { role, self } }) => role === 'leader' && self === leader)
        ? leader
        : undefined;
    });
  }

  get allLed(): boolean {
    return this.leaders().every((leader) => leader !== undefined);
  }

  get allQuiet(): boolean {
    return [...this.nodes.values()].every(({ host }) => [...host.all].every(({ isQuiesced }) => isQuiesced));
  }

  private transportOf(self: ActorId): NodeTransport {
    const say = (said: Said): boolean => {
      this.said.push(said);
      this.inFlight.push(said);
      return true;
    };
    return {
      send: (to, group, message, records) => say({ from: self, to, what: { group, message, records } }),
      heartbeat: (to) => void say({ from: self, to }),
      // No message of a group, and said whether they rest or not: it arrives at once.
      tellClock: (to, message) => {
        if (!this.cut.has(self) && !this.cut.has(to)) this.nodes.get(to)?.host.onClock(self, message);
      },
      forward: async (to, group, body, stamp) => {
        const leader = this.nodes.get(to);
        if (leader === undefined) throw new FlotillaError('NO_LEADER', 'the link to the leader is down');
        return await leader.streams.onForward(self, group, body, stamp);
      },
    };
  }
}

export function hosted(group: GroupId): HostedStream {
  return { group, observer: new Observed(), onMembership: () => undefined };
}
