import type { ActorId, LogIndex, Random, Term } from '../base/index.js';
import { type ConfigurationHistory, isVoter } from './configuration.js';
import { Durability, type Outbound } from './durability.js';
import type { LogShape } from './log-shape.js';
import type { Message, SnapshotChunk } from './messages.js';
import type { Progress, ReplicationWindow } from './progress.js';
import type { ReadIndexQueue } from './read-index.js';
import type { Configuration, DiskPressure, HardState, ReadResult } from './types.js';

export interface Settings {
  /** A follower campaigns after between one and two of these without a leader. */
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** Per follower. */
  readonly replicationWindow: ReplicationWindow;
  /**
   * Whether a group in which nothing happens quiesces. The driver then has to report nodes that fall silent.
   * Default: no.
   */
  readonly quiescence?: boolean;
}

export interface FollowerRole {
  readonly name: 'follower';
  readonly leader: ActorId | undefined;
  /** `quiesced`: it waits for no heartbeats; `waking`: it was quiesced, and has not heard the leader since. */
  quiescence: 'awake' | 'quiesced' | 'waking';
}

export interface PreCandidateRole {
  readonly name: 'pre-candidate';
  readonly votes: Map<ActorId, boolean>;
}

export interface CandidateRole {
  readonly name: 'candidate';
  readonly votes: Map<ActorId, boolean>;
}

export interface LeaderRole {
  readonly name: 'leader';
  readonly progress: Map<ActorId, Progress>;
  /** Index of the no-op that opened the term: until it is committed nothing is known to be (section 6.4). */
  readonly noopIndex: LogIndex;
  readonly reads: ReadIndexQueue;
  /** Number of the last heartbeat round that was started. */
  round: number;
  heartbeatDueMs: number;
  /** Set while leadership is being handed over: no proposals are taken. */
  transfer: { readonly to: ActorId; readonly untilMs: number; sent: boolean } | undefined;
  quiescence: LeaderQuiescence;
}

/** `asking`: a heartbeat round asks the followers to quiesce; `quiesced`: they have, and no heartbeats are sent. */
export type LeaderQuiescence =
  | { readonly name: 'awake' }
  | { readonly name: 'asking'; readonly round: number; readonly agreed: Set<ActorId> }
  | { readonly name: 'quiesced' };

export type Role = FollowerRole | PreCandidateRole | CandidateRole | LeaderRole;

/** An entry of the leader's own making: a configuration, or the no-op that opens its term. */
export interface OwnEntry {
  readonly index: LogIndex;
  readonly configuration: Configuration | undefined;
}

/** What the driver has to do, in the order in which it came up. Taken with `RaftCore.takeOutput`. */
export interface Output {
  messages: Outbound[];
  reads: ReadResult[];
  /**
   * Entries of the message just stepped in that belong into the log now: those from this index on; anything above it in
   * the log is gone.
   */
  acceptedFrom: LogIndex | undefined;
  /** What the core has appended by itself, in order: each needs a body at once. */
  ownEntries: OwnEntry[];
  /** A piece of a snapshot that this server needs, to be put with those before it: see `RaftCore.snapshotReceived`. */
  snapshotChunk: { readonly from: ActorId; readonly message: SnapshotChunk } | undefined;
  /** What followers have taken in of the snapshots under way. */
  snapshotResults: { readonly from: ActorId; readonly index: LogIndex; readonly receivedBytes: number }[];
  /** Elections begun since the output was last taken, pre-votes included. */
  campaigns: number;
}

export function emptyOutput(): Output {
  return {
    messages: [],
    reads: [],
    acceptedFrom: undefined,
    ownEntries: [],
    snapshotChunk: undefined,
    snapshotResults: [],
    campaigns: 0,
  };
}

/** What a server knows. Only the handlers in the neighbouring files change it. */
export class ServerState {
  readonly self: ActorId;
  readonly settings: Settings;
  readonly random: Random;
  readonly log: LogShape;
  readonly configurations: ConfigurationHistory;
  readonly durability: Durability;
  /** Peers whose link is open; a new leader starts from it. */
  readonly openLinks = new Set<ActorId>();
  /** Peers whose nodes have not been heard for an election time-out, as far as the driver has told. */
  readonly silentPeers = new Set<ActorId>();
  role: Role;
  /** How this server's disk stands, as far as the driver has told. */
  diskPressure: DiskPressure;
  commitIndex: LogIndex;
  /** The log is known to match that of this term's leader up to here. */
  matchedIndex: LogIndex;
  /** This term's leader was told that everything up to here is durable. */
  acknowledgedIndex: LogIndex;
  nowMs: number;
  /** When a server that hears of no leader campaigns. */
  electionDeadlineMs: number;
  /** When the leader of this term was last heard. */
  leaderHeardMs = Number.NEGATIVE_INFINITY;
  output: Output = emptyOutput();
  /** The configurations mean another server by this one's name: one that had the name before it. */
  hasStaleIdentity = false;
  private hardState: HardState;

  constructor(options: {
    self: ActorId;
    settings: Settings;
    random: Random;
    nowMs: number;
    diskPressure: DiskPressure;
    hardState: HardState;
    log: LogShape;
    configurations: ConfigurationHistory;
    commitIndex: LogIndex;
  }) {
    this.self = options.self;
    this.settings = options.settings;
    this.random = options.random;
    this.nowMs = options.nowMs;
    this.diskPressure = options.diskPressure;
    this.hardState = options.hardState;
    this.log = options.log;
    this.configurations = options.configurations;
    this.commitIndex = options.commitIndex;
    this.durability = new Durability(options.log.lastIndex);
    this.matchedIndex = options.commitIndex;
    this.acknowledgedIndex = options.commitIndex;
    this.role = { name: 'follower', leader: undefined, quiescence: 'awake' };
    this.electionDeadlineMs = options.nowMs;
  }

  get term(): Term {
    return this.hardState.term;
  }

  get vote(): ActorId | undefined {
    return this.hardState.vote;
  }

  get currentHardState(): HardState {
    return this.hardState;
  }

  get configuration(): Configuration {
    return this.configurations.latest.configuration;
  }

  /**
   * Also a voter that the latest configuration leaves out, until it knows that to
   * be committed: where no other has the entries that it has, no other can
   * be elected (section 4.2.2, figure 4.6). Never one that catches up on the time
   * of another server of its name: two such could make up a majority that has
   * forgotten everything.
   */
  get mayCampaign(): boolean {
    if (this.hasStaleIdentity) return false;
    return (
      isVoter(this.configuration, this.self) ||
      isVoter(this.configurations.asOf(this.commitIndex).configuration, this.self)
    );
  }

  get leader(): ActorId | undefined {
    if (this.role.name === 'leader') return this.self;
    return this.role.name === 'follower' ? this.role.leader : undefined;
  }

  setHardState(next: HardState): void {
    if (next.term === this.hardState.term && next.vote === this.hardState.vote) return;
    if (next.term > this.hardState.term) {
      this.matchedIndex = this.commitIndex;
      this.acknowledgedIndex = this.commitIndex;
    }
    this.hardState = next;
    this.durability.hardStateChanged();
  }

  send(to: ActorId, message: Message): void {
    const outbound = this.durability.hold({ to, message });
    if (outbound !== undefined) this.output.messages.push(outbound);
  }

  /** Whether a leader was heard so recently that an election would only disturb it (sections 4.2.3 and 9.6). */
  hearsLeader(): boolean {
    if (this.role.name === 'leader') return true;
    if (this.role.name === 'follower' && this.role.quiescence === 'quiesced') return true;
    return this.leader !== undefined && this.nowMs - this.leaderHeardMs < this.settings.electionTimeoutMs;
  }

  /**
   * Draws the next election deadline: after `base` and, at random, up to `spread` more (section 3.4). A server under
   * disk pressure lets the other servers stand first.
   */
  resetElectionDeadline(baseMs: number, spreadMs: number): void {
    const pressureMs = this.diskPressure === 'ok' ? 0 : this.settings.electionTimeoutMs;
    this.electionDeadlineMs = this.nowMs + baseMs + pressureMs + Math.floor(this.random() * spreadMs);
  }

  /** Steps down, or follows another leader. A new term has no vote yet. */
  becomeFollower(newTerm: Term, leader: ActorId | undefined): void {
    if (newTerm > this.term) this.setHardState({ term: newTerm, vote: undefined });
    if (this.role.name === 'leader') this.output.reads.push(...this.role.reads.abandon(this.self));
    if (this.role.name !== 'follower' || this.role.leader !== leader) {
      this.role = { name: 'follower', leader, quiescence: 'awake' };
    } else {
      this.role.quiescence = 'awake';
    }
    this.resetElectionDeadline(this.settings.electionTimeoutMs, this.settings.electionTimeoutMs);
  }

  /** Nothing is heard of the leader any more; the role and the term stay. */
  forgetLeader(): void {
    this.becomeFollower(this.term, undefined);
  }
}
