import { type ActorId, type GroupId, LIMITS, type LogIndex, type Seat, type Term } from '../base/index.js';
import type { Command, StateMachine } from '../machine/index.js';
import type { DiskPressure, Message } from '../raft/index.js';
import type { ClockMessage, LogRecord, LogTail, Membership } from '../wire/index.js';
import { CacheBudget } from './cache-budget.js';
import { ClockWatch } from './clock-watch.js';
import { Deadlines } from './deadlines.js';
import { Group } from './group.js';
import type { MachineOptions, OwnOptions, SharedOptions } from './group-options.js';
import type { GroupTime } from './group-time.js';
import type { Logger } from './logger.js';
import type { Members } from './members.js';
import { NodeHeartbeats } from './node-heartbeats.js';
import { CLOCK_CHECKS, type ClockChecks, PeerClocks } from './peer-clocks.js';
import type { GroupsEvents, GroupsTransport, LinkState } from './ports.js';

export interface GroupHostOptions extends Omit<SharedOptions, 'cache' | 'clocks' | 'deadlines' | 'transport'> {
  /** Bound of the hot tails of all groups, in memory together. */
  readonly cacheBytes: number;
  readonly transport: GroupsTransport;
  /** Default: {@link CLOCK_CHECKS}. */
  readonly clockChecks?: ClockChecks;
  /** Where wrong clocks are told of; absent: nowhere. */
  readonly logger?: Logger;
  /** Told of each message of a group that is not on this node: it is dropped, as if it had been lost. */
  readonly onUnknownGroup: (group: GroupId) => void;
}

/** A group, whatever runs on it, as its node deals with it. */
export interface HostedGroup {
  readonly id: GroupId;
  readonly begin: LogTail;
  readonly commitIndex: LogIndex;
  readonly tail: LogTail;
  readonly time: GroupTime;
  readonly isQuiesced: boolean;
  readonly watchedPeers: readonly ActorId[];
  readonly role: string;
  readonly term: Term;
  readonly leader: ActorId | undefined;
  /** The latest in this node's log, committed or not. */
  readonly membership: Membership;
  readonly members: Pick<Members, 'committed' | 'seatOf'>;
  start(): void;
  stop(): void;
  onMessage(from: ActorId, message: Message, records: readonly LogRecord[]): void;
  onLink(peer: ActorId, state: LinkState): void;
  onPresence(peer: ActorId, state: 'present' | 'silent'): void;
  onClocks(): void;
  onDiskPressure(level: DiskPressure): void;
  roleChanged(signal?: AbortSignal): Promise<void>;
  handOver(timeoutMs: number, to?: ActorId): Promise<boolean>;
  leave(): void;
  read(from: LogIndex, to: LogIndex, maxBytes: number): LogRecord[] | Promise<LogRecord[]>;
}

/**
 * All Raft groups of a node, over its one pair of links to each other node and
 * on one timer. What comes in goes to its group; what concerns a node goes to
 * all. See docs/internals/groups.md.
 */
export class GroupHost implements GroupsEvents {
  private readonly options: GroupHostOptions;
  readonly deadlines: Deadlines;
  private readonly cache: CacheBudget;
  private readonly nodeHeartbeats: NodeHeartbeats;
  readonly clocks: PeerClocks;
  private readonly clockWatch: ClockWatch;
  private readonly groups = new Map<GroupId, HostedGroup>();
  private readonly links = new Map<ActorId, LinkState>();
  private diskPressure: DiskPressure;
  private started = false;

  constructor(options: GroupHostOptions) {
    const { clock, settings, transport } = options;
    this.options = options;
    this.diskPressure = options.diskPressure ?? 'ok';
    this.cache = new CacheBudget(options.cacheBytes - Math.min(LIMITS.uncollectedBytes, (options.cacheBytes * 3) / 4));
    this.deadlines = new Deadlines(clock, settings.heartbeatIntervalMs / 2);
    this.nodeHeartbeats = new NodeHeartbeats({
      clock,
      deadlines: this.deadlines,
      silenceMs: settings.electionTimeoutMs,
      watched: () => new Set([...this.groups.values()].flatMap((group) => group.watchedPeers)),
      heartbeat: (to) => transport.heartbeat(to),
      onPresence: (peer, state) => {
        for (const group of this.groups.values()) group.onPresence(peer, state);
      },
    });
    this.clocks = new PeerClocks({
      clock,
      deadlines: this.deadlines,
      checks: options.clockChecks ?? CLOCK_CHECKS,
      ask: (peer, question) => transport.tellClock(peer, question),
    });
    this.clockWatch = new ClockWatch({
      clocks: this.clocks,
      groups: () => this.groups.values(),
      logger: options.logger,
    });
    this.clocks.listen(() => {
      for (const group of this.groups.values()) group.onClocks();
      this.clockWatch.check();
    });
  }

  /** What is wrong with the clocks, one sentence each. */
  get clockWarnings(): readonly string[] {
    return this.clockWatch.warnings;
  }

  /** Adds a group that is in the storage. It takes part from {@link start} on, or at once where that was called. */
  add<C extends Command, M extends StateMachine>(own: OwnOptions, machine: MachineOptions<C, M>): Group<C, M> {
    const { clocks, deadlines, cache, diskPressure } = this;
    const node = { ...this.options, clocks, deadlines, cache, diskPressure };
    const group = new Group<C, M>({ ...own, ...machine, node });
    this.groups.set(group.id, group);
    if (this.started) this.begin(group);
    return group;
  }

  start(): void {
    this.started = true;
    this.clocks.start();
    for (const group of this.groups.values()) this.begin(group);
  }

  private begin(group: HostedGroup): void {
    group.start();
    for (const [peer, state] of this.links) group.onLink(peer, state);
  }

  /** Undefined where the group is not on this node. */
  group(id: GroupId): HostedGroup | undefined {
    return this.groups.get(id);
  }

  /** What the hot tails of all groups take in memory. */
  get cachedBytes(): number {
    return this.cache.bytes;
  }

  get all(): Iterable<HostedGroup> {
    return this.groups.values();
  }

  // What the links bring in

  onHeard(from: ActorId): void {
    this.nodeHeartbeats.heard(from);
  }

  onMessage(from: ActorId, id: GroupId, message: Message, records: readonly LogRecord[]): void {
    const group = this.groups.get(id);
    if (group === undefined) this.options.onUnknownGroup(id);
    else group.onMessage(from, message, records);
  }

  seatOf(id: GroupId, actor: ActorId): Seat | undefined {
    return this.groups.get(id)?.members.seatOf(actor);
  }

  onClock(from: ActorId, message: ClockMessage): void {
    const { clock, transport } = this.options;
    const { requestId } = message;
    if (message.type === 'clock-answer') this.clocks.answered(from, requestId, message.utcMs);
    else transport.tellClock(from, { type: 'clock-answer', requestId, utcMs: clock.utcMs() });
  }

  async onFetch(id: GroupId, from: LogIndex, to: LogIndex): Promise<LogRecord[]> {
    const group = this.groups.get(id);
    if (group === undefined || from <= group.begin.index || from > group.commitIndex) return [];
    return await group.read(from, to, LIMITS.appendMessageBytes);
  }

  onLink(peer: ActorId, state: LinkState): void {
    this.links.set(peer, state);
    this.clocks.onLink(peer, state);
    if (!this.started) return;
    for (const group of this.groups.values()) group.onLink(peer, state);
  }

  // What the disk brings in

  /** How much the disk of this node takes from now on. */
  diskPressureChanged(level: DiskPressure): void {
    this.diskPressure = level;
    for (const group of this.groups.values()) group.onDiskPressure(level);
  }

  // Stopping

  stop(): void {
    this.nodeHeartbeats.stop();
    this.clocks.stop();
    for (const group of this.groups.values()) group.stop();
  }
}
