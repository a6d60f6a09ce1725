import type { ActorId, GroupId, Random } from '../base/index.js';
import type { Command, MachineKind, Proposed, StateMachine } from '../machine/index.js';
import type { DiskPressure, Settings } from '../raft/index.js';
import type { CacheBudget } from './cache-budget.js';
import type { Deadlines } from './deadlines.js';
import type { GroupObserver } from './observer.js';
import type { ClockReadings } from './peer-clocks.js';
import type { Clock, PeerTransport, Storage } from './ports.js';

/** The version of which every member knows all kinds of records, as far as this node knows. */
export interface ActiveVersion {
  readonly current: number;
}

/** What all groups of a node share. */
export interface SharedOptions {
  readonly self: ActorId;
  /** Tells this node's data directory from an earlier one under its actor id; absent: they are not told apart. */
  readonly instance?: string;
  readonly activeVersion: ActiveVersion;
  readonly settings: Settings;
  /** Until `Group.onDiskPressure` tells another. Default: ok. */
  readonly diskPressure?: DiskPressure;
  readonly cache: CacheBudget;
  readonly storage: Storage;
  readonly transport: PeerTransport;
  readonly clock: Clock;
  readonly clocks: ClockReadings;
  readonly deadlines: Deadlines;
  readonly random: Random;
  /** Called once, with the first failure that a group can't survive: the node must stop. */
  readonly onFatal: (error: unknown) => void;
}

/** What differs from group to group. */
export interface OwnOptions {
  readonly group: GroupId;
  readonly observer: GroupObserver;
}

export interface GroupOptions extends OwnOptions {
  readonly node: SharedOptions;
}

/** What runs on a group. */
export interface MachineOptions<C extends Command, M extends StateMachine> {
  readonly kind: MachineKind<C, M>;
  /** Hands a command to the leader, which is another node; rejects as {@link PeerTransport.forward} does. */
  readonly forward: (leader: ActorId, command: C) => Promise<Proposed>;
}
