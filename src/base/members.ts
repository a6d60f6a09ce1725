import type { ActorId } from './brand.js';

/** A node, as configurations name it. */
export interface Seat {
  readonly actor: ActorId;
  /** Fingerprint of the key that was made with the node's data directory; 32 hexadecimal digits. */
  readonly instance: string;
}

export function sameSeat(one: Seat, other: Seat): boolean {
  return one.actor === other.actor && one.instance === other.instance;
}

/** A member of a cluster, and where it is. */
export interface Member extends Seat {
  /** HOST:PORT that others are told. */
  readonly address: string;
}

/**
 * What the leader that took a member in has signed. A member that was away at the time, and whose log does not name the
 * new one yet, believes it, because it knows the leader, or a node that has vouched for the leader, and so on. Part of
 * the cluster's state, and of every hello.
 */
export interface Voucher {
  readonly actor: number;
  /** The instance of the member that was taken in; 32 hexadecimal digits. */
  readonly instance: string;
  /** Grows with each member: of two nodes that had one actor id after each other, the later is in force. */
  readonly index: number;
  /** Public key of the member that vouches, base64. */
  readonly by: string;
  /** Base64. */
  readonly signature: string;
}

/** What a voucher says. */
export type VoucherClaim = Pick<Voucher, 'actor' | 'instance' | 'index'>;
