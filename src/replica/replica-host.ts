import { type ActorId, FlotillaError, type GroupId, LIMITS, type LogIndex, type Random } from '../base/index.js';
import type { ProducerStamp } from '../event/index.js';
import type { DiskPressure, Message, Settings } from '../raft/index.js';
import type { ClockMessage, LogRecord, PackedBody } from '../wire/index.js';
import { CacheBudget } from './cache-budget.js';
import { ClockWatch } from './clock-watch.js';
import { Deadlines } from './deadlines.js';
import type { Logger } from './logger.js';
import { NodePulse } from './node-pulse.js';
import { CLOCK_CHECKS, type ClockChecks, PeerClocks } from './peer-clocks.js';
import type { Clock, LinkState, NodeTransport, PeerEvents, Proposed, Storage } from './ports.js';
import { Replica } from './replica.js';
import type { ReplicaOptions } from './replica-options.js';

export interface ReplicaHostOptions
  extends Required<Pick<ReplicaOptions, 'self' | 'instance' | 'onFatal'>>,
    Pick<ReplicaOptions, 'vouch' | 'diskPressure'> {
  readonly settings: Settings;
  /** Bound of the hot tails of all groups, in memory together. */
  readonly cacheBytes: number;
  readonly storage: Storage;
  readonly transport: NodeTransport;
  readonly clock: Clock;
  /** Default: {@link CLOCK_CHECKS}. */
  readonly clockChecks?: ClockChecks;
  readonly random: Random;
  /** Where wrong clocks are told of; absent: nowhere. */
  readonly logger?: Logger;
  /** Told of each message of a group that has no replica here: it is dropped, as if it had been lost. */
  readonly onUnknownGroup: (group: GroupId) => void;
}

/** What differs from group to group. */
export type HostedGroup = Pick<
  ReplicaOptions,
  'group' | 'initialSettings' | 'observer' | 'onMembership' | 'retentionCheckMs'
>;

/**
 * All replicas of a node: one per Raft group, over the node's one pair of links
 * to each other node and on one timer. What comes in goes to its group; what
 * concerns a node goes to all. See docs/internals/groups.md.
 */
export class ReplicaHost implements PeerEvents {
  private readonly options: ReplicaHostOptions;
  private readonly deadlines: Deadlines;
  private readonly cache: CacheBudget;
  private readonly pulse: NodePulse;
  readonly clocks: PeerClocks;
  private readonly clockWatch: ClockWatch;
  private readonly replicas = new Map<GroupId, Replica>();
  private readonly links = new Map<ActorId, LinkState>();
  private diskPressure: DiskPressure;
  private started = false;

  constructor(options: ReplicaHostOptions) {
    const { clock, settings, transport } = options;
    this.options = options;
    this.diskPressure = options.diskPressure ?? 'ok';
    this.cache = new CacheBudget(options.cacheBytes - Math.min(LIMITS.uncollectedBytes, (options.cacheBytes * 3) / 4));
    this.deadlines = new Deadlines(clock, settings.heartbeatIntervalMs / 2);
    this.pulse = new NodePulse({
      clock,
      deadlines: this.deadlines,
      silenceMs: settings.electionTimeoutMs,
      restsWith: () => new Set([...this.replicas.values()].flatMap((replica) => replica.watchedPeers)),
      beat: (to) => transport.heartbeat(to),
      onPresence: (peer, state) => {
        for (const replica of this.replicas.values()) replica.onPresence(peer, state);
      },
    });
    this.clocks = new PeerClocks({
      clock,
      deadlines: this.deadlines,
      checks: options.clockChecks ?? CLOCK_CHECKS,
      ask: (peer, question) => transport.tellClock(peer, question),
      onNews: () => {
        for (const replica of this.replicas.values()) replica.onClocks();
        this.clockWatch.check();
      },
    });
    this.clockWatch = new ClockWatch({
      clocks: this.clocks,
      replicas: () => this.replicas.values(),
      logger: options.logger,
    });
  }

  /** What is wrong with the clocks, one sentence each. */
  get clockWarnings(): readonly string[] {
    return this.clockWatch.warnings;
  }

  /**
   * Adds the replica of a group that is in the storage. It takes part from {@link start} on, or at once where that was
   * called.
   */
  add(hosted: HostedGroup): Replica {
    const { onUnknownGroup: _, cacheBytes: __, ...shared } = this.options;
    const replica = new Replica({
      ...shared,
      ...hosted,
      diskPressure: this.diskPressure,
      clocks: this.clocks,
      deadlines: this.deadlines,
      cache: this.cache,
    });
    this.replicas.set(hosted.group, replica);
    if (this.started) this.begin(replica);
    return replica;
  }

  start(): void {
    this.started = true;
    this.clocks.start();
    for (const replica of this.replicas.values()) this.begin(replica);
  }

  private begin(replica: Replica): void {
    replica.start();
    for (const [peer, state] of this.links) replica.onLink(peer, state);
  }

  /** Undefined where this node has no replica of the group. */
  replica(group: GroupId): Replica | undefined {
    return this.replicas.get(group);
  }

  /** What the hot tails of all groups take in memory. */
  get cachedBytes(): number {
    return this.cache.bytes;
  }

  get all(): Iterable<Replica> {
    return this.replicas.values();
  }

  // What the links bring in

  onHeard(from: ActorId): void {
    this.pulse.heard(from);
  }

  onMessage(from: ActorId, group: GroupId, message: Message, records: readonly LogRecord[]): void {
    const replica = this.replicas.get(group);
    if (replica === undefined) this.options.onUnknownGroup(group);
    else replica.onMessage(from, message, records);
  }

  onClock(from: ActorId, message: ClockMessage): void {
    const { clock, transport } = this.options;
    const { requestId } = message;
    if (message.type === 'clock-answer') this.clocks.answered(from, requestId, message.utcMs);
    else transport.tellClock(from, { type: 'clock-answer', requestId, utcMs: clock.utcMs() });
  }

  async onForward(from: ActorId, group: GroupId, body: PackedBody, stamp: ProducerStamp): Promise<Proposed> {
    const replica = this.replicas.get(group);
    if (replica === undefined)
      throw new FlotillaError('NOT_LEADER', `group ${group} is not on this node; the batch was not proposed`);
    return await replica.proposeFor(from, body, stamp);
  }

  async onFetch(group: GroupId, from: LogIndex, to: LogIndex): Promise<LogRecord[]> {
    const replica = this.replicas.get(group);
    if (replica === undefined || from <= replica.begin.index || from > replica.commitIndex) return [];
    return await replica.read(from, to, LIMITS.appendMessageBytes);
  }

  onLink(peer: ActorId, state: LinkState): void {
    this.links.set(peer, state);
    this.clocks.onLink(peer, state);
    if (!this.started) return;
    for (const replica of this.replicas.values()) replica.onLink(peer, state);
  }

  // What the disk brings in

  /**
   * How much the disk of this node takes from now on. It may be called amid a turn of a replica, in which no other
   * input may be taken in: the replicas are told after it.
   */
  diskPressureChanged(level: DiskPressure): void {
    this.diskPressure = level;
    this.options.clock.soon(() => {
      for (const replica of this.replicas.values()) replica.onDiskPressure(level);
    });
  }

  // Stopping

  stop(): void {
    this.pulse.stop();
    this.clocks.stop();
    for (const replica of this.replicas.values()) replica.stop();
  }
}
