import type { GroupId, Voucher } from '../../base/index.js';
import type { ClusterMember } from './members.js';

/** A stream of the cluster, and the Raft group that it runs on. */
export interface CatalogueEntry {
  readonly name: string;
  /** Never given to another stream. */
  readonly group: GroupId;
  /** 32 hexadecimal digits. */
  readonly incarnation: string;
}

/** What the cluster's committed records have led to. */
export interface ClusterState {
  /** 32 hexadecimal digits; empty until the founding record has taken effect. */
  readonly clusterId: string;
  /** The version whose kinds of records may be proposed: every member knows them. Never goes back. */
  readonly activeVersion: number;
  /** Ascending by actor. */
  readonly members: readonly ClusterMember[];
  /** For the members that were taken in last, ascending by index. */
  readonly vouchers: readonly Voucher[];
  /** The catalogue, in the order in which the streams were made. */
  readonly streams: readonly CatalogueEntry[];
}
