import { type ActorId, term } from '../../src/base/index.js';
import type { Settings } from '../../src/raft/index.js';
import { entriesOfTerms } from '../raft/cluster.js';
import { type Disk, emptyDisk, type PlantedFault } from '../raft/core-node.js';

/** Short times, so that many elections fit into a run. */
export const SETTINGS: Settings = { electionTimeoutMs: 150, heartbeatIntervalMs: 30, replicationWindow: { bytes: 2000, messages: 6 } };

export interface Scenario {
  readonly seed: number;
  readonly nodes: number;
  /** Servers that are no members to begin with; with them, the members change all the time. */
  readonly spares?: number | undefined;
  /** Most leaders fall within milliseconds of their election, and an append carries one entry: what figure 3.7 needs. */
  readonly storm?: boolean | undefined;
  /** Logs to begin with, by actor, as the terms of their entries. All servers know the latest of these terms. */
  readonly logs?: Readonly<Record<number, readonly number[]>> | undefined;
  /** Groups in which nothing happens rest, and clients pause now and then. */
  readonly quiescence?: boolean | undefined;
  readonly fault?: PlantedFault | undefined;
}

/** What a run has met; a test that met too little has tested nothing. */
export interface Figures {
  elections: number;
  crashes: number;
  lostWrites: number;
  truncations: number;
  snapshots: number;
  transfers: number;
  memberChanges: number;
  proposals: number;
  committed: number;
  readsConfirmed: number;
  /** Times that a leader fell quiet. */
  rests: number;
  /** Times that the node of one that was leaned on fell silent. */
  silences: number;
}

export function noFigures(): Figures {
  return {
    elections: 0,
    crashes: 0,
    lostWrites: 0,
    truncations: 0,
    snapshots: 0,
    transfers: 0,
    memberChanges: 0,
    proposals: 0,
    committed: 0,
    readsConfirmed: 0,
    rests: 0,
    silences: 0,
  };
}

export function initialDisk({ logs = {} }: Scenario, self: ActorId): Disk {
  const latest = Math.max(0, ...Object.values(logs).flat());
  return { ...emptyDisk(), hardState: { term: term(latest), vote: undefined }, entries: entriesOfTerms(logs[self] ?? []) };
}
