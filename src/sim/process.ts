import {
  type ActorId,
  assert,
  FlotillaError,
  type GroupId,
  groupId,
  type Random,
  seededRandom,
} from '../base/index.js';
import { MACHINES } from '../cluster/index.js';
import type { ProducerStamp } from '../event/index.js';
import { type Clock, GroupHost, type GroupObserver, type LinkState, type PersistRequest } from '../group/index.js';
import type { Proposed } from '../machine/index.js';
import type { Settings } from '../raft/index.js';
import { type LevelStorage, openStorage } from '../storage/index.js';
import { type NodeTransport, type Stream, StreamHost, type StreamStorage } from '../stream/index.js';
import { type ClockMessage, type Membership, type PackedBody, SPOKEN_VERSIONS } from '../wire/index.js';
import { SIMULATED_CLOCK_CHECKS } from './clock-faults.js';
import type { Schedule, SimulatedDisk } from './disk.js';
import { memberOf, type NodeFolder } from './node-folder.js';
import type { Letter, ObservedNode, Packet } from './observed-node.js';

export const GROUP: GroupId = groupId(1);
const INCARNATION = '5'.repeat(32);
const CLUSTER = 'c'.repeat(32);
/** Short as the other times are. */
const RETENTION_CHECK_MS = 40;

/** A batch, and by what the stream knows it again. */
export interface StampedBody {
  readonly body: PackedBody;
  readonly stamp: ProducerStamp;
}

/** A defect to be planted into the nodes of a run, to see the checks find it. Each hook is a place where it may sit. */
export interface PlantedBug {
  /** A stream was made; it has not begun. */
  readonly started?: (stream: Stream, storage: LevelStorage) => void;
  readonly beforeStep?: (stream: Stream, packet: Packet) => void;
  readonly afterInput?: (stream: Stream) => void;
  readonly sending?: (stream: Stream, packet: Packet) => Packet;
  readonly storing?: (requests: readonly PersistRequest[]) => readonly PersistRequest[];
  /** A stranger that names a member's ids passes for that member. */
  readonly letsOutsidersIn?: boolean;
}

/** What a process has to do with others by. Whatever it says may get lost. */
export interface ProcessLinks {
  send(letter: Letter): void;
  tellClock(to: ActorId, message: ClockMessage): void;
  forward(to: ActorId, batch: StampedBody): Promise<Proposed>;
}

/** What the cluster hears of a process that it has started. */
export interface ProcessEvents {
  /** It has begun; `lost`: its disk had not kept all that was handed to it. */
  takesPart(lost: boolean): void;
  /** It must stop, or could not begin. Called once. */
  failed(error: unknown): void;
}

export interface ProcessOptions {
  readonly self: ActorId;
  readonly folder: NodeFolder;
  readonly disk: SimulatedDisk;
  readonly clock: Clock;
  readonly observed: ObservedNode;
  readonly random: Random;
  readonly settings: Settings;
  readonly segmentBytes: number;
  readonly cacheBytes: number;
  /** A group that is not there yet begins with it. */
  readonly firstMembership: Membership;
  readonly bug: PlantedBug | undefined;
  readonly schedule: Schedule;
  readonly links: ProcessLinks;
  readonly events: ProcessEvents;
}

/** One run of the server's code on a host: the real storage and the real stream, from start to crash. */
export class Process {
  alive = true;
  stream: Stream | undefined;
  private groups: GroupHost | undefined;
  readonly clock: Clock;
  private storage: LevelStorage | undefined;
  /** As this process was told. */
  private readonly links = new Map<ActorId, LinkState>();
  private readonly options: ProcessOptions;
  private failed = false;

  constructor(options: ProcessOptions) {
    this.options = options;
    this.clock = options.clock;
  }

  get self(): ActorId {
    return this.options.self;
  }

  /** Never rejects: a failure is one of its events. */
  async begin(): Promise<void> {
    try {
      const { folder, disk, segmentBytes } = this.options;
      const storage = await openStorage({
        directory: folder,
        disk,
        clock: this.clock,
        machines: MACHINES,
        segmentBytes,
        onFailure: (error) => this.fail(error),
      });
      this.storage = storage;
      if (folder.identity.clusterId === undefined) {
        await storage.createGroup({
          group: GROUP,
          incarnation: INCARNATION,
          machine: 'stream',
          membership: this.options.firstMembership,
        });
        folder.identity = { ...folder.identity, clusterId: CLUSTER };
      }
      this.takePart(storage);
    } catch (error) {
      this.fail(error);
    }
  }

  receive(packet: Packet): void {
    const { stream, groups } = this;
    if (stream === undefined) return;
    groups?.onHeard(packet.from);
    this.options.bug?.beforeStep?.(stream, packet);
    groups?.onMessage(packet.from, GROUP, packet.message, packet.records);
    this.options.bug?.afterInput?.(stream);
  }

  /** The peer's node lives. */
  hear(peer: ActorId): void {
    this.groups?.onHeard(peer);
  }

  hearClock(peer: ActorId, message: ClockMessage): void {
    this.groups?.onClock(peer, message);
  }

  linkChanged(peer: ActorId, state: LinkState): void {
    this.links.set(peer, state);
    this.groups?.onLink(peer, state);
  }

  isLinkedTo(peer: ActorId): boolean {
    return this.links.get(peer) === 'open';
  }

  /** It ends as by SIGKILL: nothing that waits in it hears of anything. */
  kill(): void {
    this.alive = false;
    this.options.observed.stream = undefined;
  }

  /** It ends in order: everything is written, and closed. */
  async stop(): Promise<void> {
    this.groups?.stop();
    await this.storage?.close();
  }

  private takePart(storage: LevelStorage): void {
    const { self, observed, settings, cacheBytes, random, bug } = this.options;
    const lost = observed.recovered(storage.group(GROUP).recovered);
    const shared = {
      storage: this.watched(storage),
      transport: this.transport(),
      clock: this.clock,
      random: seededRandom(Math.floor(random() * 2 ** 31)),
      onFatal: (error: unknown) => this.fail(error),
    };
    const groups = new GroupHost({
      ...shared,
      self,
      instance: memberOf(self).instance,
      activeVersion: { current: SPOKEN_VERSIONS.highest },
      settings,
      cacheBytes,
      clockChecks: SIMULATED_CLOCK_CHECKS,
      onUnknownGroup: (group) => assert(false, `nobody speaks of group ${group}`),
    });
    const streams = new StreamHost({ ...shared, groups });
    const stream = streams.add({
      group: GROUP,
      observer: this.observer(),
      retentionCheckMs: RETENTION_CHECK_MS,
    });
    this.groups = groups;
    this.stream = stream;
    observed.stream = stream;
    observed.configurationBefore = stream.group.membership;
    bug?.started?.(stream, storage);
    this.options.events.takesPart(lost);
    groups.start();
  }

  private fail(error: unknown): void {
    if (this.failed || !this.alive) return;
    this.failed = true;
    this.groups?.stop();
    this.options.events.failed(error);
  }

  private transport(): NodeTransport {
    const { self, bug, links } = this.options;
    return {
      send: (to, _group, message, records) => {
        if (!this.alive || !this.isLinkedTo(to)) return false;
        const packet = { from: self, to, message, records };
        links.send(this.stream === undefined ? packet : (bug?.sending?.(this.stream, packet) ?? packet));
        return true;
      },
      forward: (to, _group, body, stamp) => {
        if (this.isLinkedTo(to)) return links.forward(to, { body, stamp });
        return Promise.reject(
          new FlotillaError('NO_LEADER', 'the link to the leader is down; the batch was not proposed'),
        );
      },
      heartbeat: (to) => {
        if (this.alive && this.isLinkedTo(to)) links.send({ from: self, to, message: undefined });
      },
      tellClock: (to, message) => {
        if (this.alive && this.isLinkedTo(to)) links.tellClock(to, message);
      },
    };
  }

  /** Tells the observed node what is asked of the storage, and what it has answered. */
  private watched(storage: LevelStorage): StreamStorage {
    const { observed, bug } = this.options;
    return {
      persist: (requests) => {
        observed.asked(requests);
        return storage.persist(bug?.storing?.(requests) ?? requests).then(() => {
          if (this.alive) observed.persisted(requests);
        });
      },
      group: (id) => storage.group(id),
      close: () => storage.close(),
    };
  }

  private observer(): GroupObserver {
    const { observed } = this.options;
    const ignored = (): void => undefined;
    return {
      appended: (record) => observed.appended(record),
      replaced: (before) => observed.replaced(before),
      roleChanged: ignored,
      campaigned: ignored,
      persisted: ignored,
      committed: ignored,
      outcomeUnknown: ignored,
    };
  }
}
