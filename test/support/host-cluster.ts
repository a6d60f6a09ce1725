import { setImmediate as turn } from 'node:timers/promises';
import {
  type ActorId,
  actorId,
  FlotillaError,
  type GroupId,
  groupId,
  type Member,
  present,
  type Random,
  type Seat,
} from '../../src/base/index.js';
import {
  CLUSTER_GROUP,
  Cluster,
  ClusterReconciler,
  MembershipReconciler,
  ON_CLUSTER_GROUP,
  type Speaker,
} from '../../src/cluster/index.js';
import { GroupHost } from '../../src/group/index.js';
import { CLUSTER_KIND } from '../../src/machine/cluster/index.js';
import { FIRST_VERSION } from '../../src/machine/index.js';
import { STREAM_KIND } from '../../src/machine/stream/index.js';
import { mayHear, mayTell } from '../../src/peer/stand-ins.js';
import type { Message, Settings } from '../../src/raft/index.js';
import { type HostedStream, type NodeTransport, type Stream, StreamHost } from '../../src/stream/index.js';
import { type LogRecord, type Membership, SPOKEN_VERSIONS } from '../../src/wire/index.js';
import { ManualClock } from '../support/manual-clock.js';
import { emptyGroupDisk, type GroupDisk, MemoryStorage } from '../support/memory-storage.js';
import { memberOf, Observed, SILENT_LOGGER } from './group-parts.js';

export const CLUSTER = 'c'.repeat(32);

export const SETTINGS: Settings = {
  electionTimeoutMs: 1000,
  heartbeatIntervalMs: 100,
  replicationWindow: { bytes: 1024 * 1024, messages: 16 },
  quiescence: true,
};

/** What one node says to another: a message of a group, or that it is alive. */
export interface Said {
  readonly from: ActorId;
  readonly speaker: Seat;
  readonly to: ActorId;
  readonly what?: { readonly group: GroupId; readonly message: Message; readonly records: readonly LogRecord[] };
}

export interface HostNode {
  readonly actor: ActorId;
  /** The node that it is: another one may have had its actor id before. */
  readonly member: Member;
  readonly host: GroupHost;
  readonly streams: StreamHost;
  readonly clock: ManualClock;
  readonly storage: MemoryStorage;
  readonly unknownGroups: GroupId[];
  readonly fatal: unknown[];
  /** Where the nodes have the cluster's group. */
  readonly cluster: ClusterPart | undefined;
}

/** What a node does about group 0. */
export interface ClusterPart {
  readonly cluster: Cluster;
  readonly reconciler: ClusterReconciler;
  /** What the node hears the others say of themselves; undefined: what they are. */
  said: readonly Speaker[] | undefined;
}

export interface HostClusterOptions {
  /** Further groups on the disks, which no node takes part in yet. */
  readonly stored?: number;
  /** The nodes have the cluster's group, and follow it in the others. */
  readonly withCluster?: boolean;
  /** Nodes that no group names; they are started by the test. */
  readonly spares?: readonly number[];
  /** What the nodes draw; default: numbers that differ from node to node and from group to group. */
  readonly random?: Random;
}

/** Three nodes that host the same groups, joined in memory. Everything that is said in a turn arrives in the next. */
export class HostCluster {
  readonly nodes = new Map<ActorId, HostNode>();
  readonly groups: readonly GroupId[];
  /** Since a test last emptied it. */
  said: Said[] = [];
  /** Nodes that hear nobody and are heard by nobody, and no link tells of it. */
  readonly cut = new Set<ActorId>();
  /** What is lost beside that. */
  loses: (said: Said) => boolean = () => false;
  private inFlight: Said[] = [];
  private readonly disks = new Map<ActorId, Map<GroupId, GroupDisk>>();

  private readonly withCluster: boolean;
  private readonly random: Random | undefined;

  constructor(groups: number, { stored = 0, withCluster = false, spares = [], random }: HostClusterOptions = {}) {
    const actors = [1, 2, 3].map(actorId);
    this.withCluster = withCluster;
    this.random = random;
    const all = Array.from({ length: groups + stored }, (_, position) => groupId(position + 1));
    this.groups = all.slice(0, groups);
    const membership: Membership = { voters: actors, outgoing: [], learners: [], members: actors.map(memberOf) };
    const newcomer: Membership = { voters: [], outgoing: [], learners: [], members: [] };
    for (const actor of [...actors, ...spares.map(actorId)]) {
      const first = actors.includes(actor) ? membership : newcomer;
      const disks = new Map(all.map((group) => [group, emptyGroupDisk(first, STREAM_KIND)]));
      if (withCluster) disks.set(CLUSTER_GROUP, emptyGroupDisk(first, CLUSTER_KIND));
      this.disks.set(actor, disks);
    }
    for (const actor of actors) this.start(actor);
  }

  node(actor: number): HostNode {
    return present(this.nodes.get(actorId(actor)), `node ${actor} does not run`);
  }

  stream(actor: number, group: number): Stream {
    return present(this.node(actor).streams.get(groupId(group)), `node ${actor} has no group ${group}`);
  }

  start(actor: number, member: Member = memberOf(actorId(actor)), versions = SPOKEN_VERSIONS): void {
    const self = actorId(actor);
    const storage = new MemoryStorage(present(this.disks.get(self), `there is no node ${actor}`));
    const clock = new ManualClock();
    clock.stall(Math.max(0, ...[...this.nodes.values()].map((node) => node.clock.nowMs())));
    const unknownGroups: GroupId[] = [];
    const fatal: unknown[] = [];
    let draws = actor;
    const shared = {
      storage,
      transport: this.transportOf(member),
      clock,
      random: this.random ?? (() => (draws++ % 10) / 10),
      onFatal: (error: unknown) => fatal.push(error),
    };
    const host = new GroupHost({
      ...shared,
      cacheBytes: 1024 * 1024,
      self,
      instance: member.instance,
      activeVersion: { current: FIRST_VERSION },
      settings: SETTINGS,
      onUnknownGroup: (group) => unknownGroups.push(group),
    });
    const streams = new StreamHost({ ...shared, groups: host });
    for (const group of this.groups) streams.add(hosted(group));
    const cluster = this.withCluster ? this.clusterPart({ ...member, versions }, host, streams, clock) : undefined;
    this.nodes.set(self, { actor: self, member, host, streams, clock, storage, unknownGroups, fatal, cluster });
    host.start();
    for (const peer of this.nodes.values()) {
      if (peer.actor === self) continue;
      peer.host.onLink(self, 'open');
      host.onLink(peer.actor, 'open');
    }
  }

  private clusterPart(self: Speaker, host: GroupHost, streams: StreamHost, clock: ManualClock): ClusterPart {
    const cluster = new Cluster({ group: host.add(hosted(CLUSTER_GROUP), ON_CLUSTER_GROUP), clock });
    const isLinked = (seat: Seat): boolean => this.isLinked(self.actor, seat);
    const shared = { cluster, clock, logger: SILENT_LOGGER, isLinked };
    const groups = [...streams.all].map(({ group }) => group);
    const reconciler = new ClusterReconciler({
      ...shared,
      founding: { clusterId: CLUSTER, members: [1, 2, 3].map((actor) => memberOf(actorId(actor))), streams: [] },
      self,
      others: () => part.said ?? this.speakers(self.actor),
    });
    const part: ClusterPart = { cluster, reconciler, said: undefined };
    const memberships = [
      new MembershipReconciler({ ...shared, group: cluster.group, leftBefore: groups }),
      ...groups.map((group) => new MembershipReconciler({ ...shared, group })),
    ];
    cluster.onChange(() => {
      reconciler.check();
      for (const membership of memberships) membership.check();
    });
    for (const each of [reconciler, ...memberships]) each.start();
    return part;
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
      for (const said of due) {
        const { from, to, what } = said;
        const node = this.nodes.get(to);
        if (node === undefined || this.cut.has(from) || this.cut.has(to) || this.loses(said)) continue;
        node.host.onHeard(from);
        if (what !== undefined && this.isHeard(said, what))
          node.host.onMessage(from, what.group, what.message, what.records);
      }
      const ran = [...this.nodes.values()].map(({ clock }) => clock.runSoon()).includes(true);
      await turn();
      quiet = due.length > 0 || ran || this.inFlight.length > 0 ? 0 : quiet + 1;
    }
  }

  private speakers(self: ActorId): Speaker[] {
    return [...this.nodes.values()]
      .filter(({ member }) => this.isLinked(self, member))
      .map(({ member }) => ({ ...member, versions: SPOKEN_VERSIONS }));
  }

  /** Whether the node of an actor is linked with this very node. */
  isLinked(from: ActorId, { actor, instance }: Seat): boolean {
    return this.nodes.get(actor)?.member.instance === instance && !this.cut.has(actor) && !this.cut.has(from);
  }

  /** As the links between nodes do it, where an actor id was given to another node. */
  private isHeard({ from, to, speaker }: Said, { group, message }: NonNullable<Said['what']>): boolean {
    return mayHear(message, speaker, this.node(to).host.seatOf(group, from));
  }

  /** An empty disk: the node that is started on it is another one than before. */
  emptyDisk(actor: number): void {
    const newcomer: Membership = { voters: [], outgoing: [], learners: [], members: [] };
    const disks = present(this.disks.get(actorId(actor)), `there is no node ${actor}`);
    for (const group of disks.keys())
      disks.set(group, emptyGroupDisk(newcomer, group === CLUSTER_GROUP ? CLUSTER_KIND : STREAM_KIND));
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
      const streams = [...this.nodes.keys()].map((actor) => this.stream(actor, group));
      const [leader, ...others] = new Set(streams.map((stream) => stream.group.leader));
      return others.length === 0 && streams.some(({ group: { role, self } }) => role === 'leader' && self === leader)
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

  private transportOf(speaker: Seat): NodeTransport {
    const self = speaker.actor;
    const say = (said: Said): boolean => {
      this.said.push(said);
      this.inFlight.push(said);
      return true;
    };
    return {
      send: (to, group, message, records) => {
        const peer = this.nodes.get(to)?.member;
        const seat = this.nodes.get(self)?.host.seatOf(group, to);
        if (peer !== undefined && !mayTell(message, peer, seat)) return false;
        return say({ from: self, speaker, to, what: { group, message, records } });
      },
      heartbeat: (to) => void say({ from: self, speaker, to }),
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
  return { group, observer: new Observed() };
}
