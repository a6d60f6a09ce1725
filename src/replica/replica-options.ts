import type { ActorId, GroupId, Random } from '../base/index.js';
import type { StreamSettings } from '../machine/index.js';
import type { DiskPressure, Settings } from '../raft/index.js';
import type { Membership, Voucher, VoucherClaim } from '../wire/index.js';
import type { CacheBudget } from './cache-budget.js';
import type { Deadlines } from './deadlines.js';
import type { ReplicaObserver } from './observer.js';
import type { ClockReadings } from './peer-clocks.js';
import type { Clock, PeerTransport, Storage } from './ports.js';

export interface ReplicaOptions {
  readonly group: GroupId;
  readonly self: ActorId;
  /** Tells this node's data directory from an earlier one under its actor id; absent: they are not told apart. */
  readonly instance?: string;
  /** Signs for a member that this node takes in as leader; absent: nobody does. */
  readonly vouch?: (claim: VoucherClaim) => Voucher;
  readonly settings: Settings;
  /** Until {@link Replica.onDiskPressure} tells another. Default: ok. */
  readonly diskPressure?: DiskPressure;
  readonly cache: CacheBudget;
  /** Which the first leader gives a stream that has none yet; absent: it gets none. */
  readonly initialSettings?: StreamSettings;
  /** How often a leader looks for what is to be given up; default: `LIMITS.retentionCheckMs`. */
  readonly retentionCheckMs?: number;
  readonly storage: Storage;
  readonly transport: PeerTransport;
  readonly clock: Clock;
  readonly clocks: ClockReadings;
  /** Shared by all replicas of a node, as the cache is. */
  readonly deadlines: Deadlines;
  readonly random: Random;
  readonly observer: ReplicaObserver;
  /** Called when the members, or what is known of them, have changed in the log of this node. */
  readonly onMembership: (membership: Membership) => void;
  /** Called once, with the first failure that this replica can't survive: the node must stop. */
  readonly onFatal: (error: unknown) => void;
}
