import { LIMITS } from '../base/index.js';
import { instanceOf, isSignedBy, type NodeKey } from './node-key.js';
import type * as proto from './proto.js';

/**
 * What the leader that took a member in has signed. A member that was away at the time, and whose log does not name the
 * new one yet, believes it, because it knows the leader, or a member that has vouched for the leader, and so on.
 * Travels in the membership, and from there with every hello.
 */
export interface Voucher {
  readonly actor: number;
  /** Instance of the member that was taken in; 32 hexadecimal digits. */
  readonly instance: string;
  /**
   * Log index of the configuration that took it in: of two that had one actor id after each other, the later is in
   * force.
   */
  readonly index: number;
  /** Public key of the member that vouches, base64. */
  readonly by: string;
  /** Base64. */
  readonly signature: string;
}

/** What a voucher says. */
export type VoucherClaim = Pick<Voucher, 'actor' | 'instance' | 'index'>;

export function vouch(key: NodeKey, clusterId: string, claim: VoucherClaim): Voucher {
  return {
    ...claim,
    by: Buffer.from(key.publicKey).toString('base64'),
    signature: Buffer.from(key.sign(signedText(clusterId, claim))).toString('base64'),
  };
}

/**
 * The voucher by which `claimed` is a member of the cluster for a node that knows `trusted` as members: signed by one
 * of these, or by one that has such a voucher before it in the list. Undefined where there is none.
 */
export function findVoucher(
  vouchers: readonly Voucher[],
  claimed: { readonly actor: number; readonly instance: string },
  { clusterId, trusted }: { readonly clusterId: string; readonly trusted: Iterable<string> },
): Voucher | undefined {
  const instances = new Set(trusted);
  let found: Voucher | undefined;
  for (const voucher of vouchers.slice(0, LIMITS.vouchers)) {
    const by = Buffer.from(voucher.by, 'base64');
    if (!instances.has(instanceOf(by))) continue;
    if (!isSignedBy(by, signedText(clusterId, voucher), Buffer.from(voucher.signature, 'base64'))) continue;
    instances.add(voucher.instance);
    if (voucher.actor === claimed.actor && voucher.instance === claimed.instance) found = voucher;
  }
  return found;
}

function signedText(clusterId: string, { actor, instance, index }: VoucherClaim): string {
  return ['flotilla voucher 1', clusterId, actor, instance, index].join('\n');
}

export function voucherToProto({ actor, instance, index, by, signature }: Voucher): proto.Voucher {
  return {
    actorId: actor,
    instanceId: instance,
    index,
    by: Buffer.from(by, 'base64'),
    signature: Buffer.from(signature, 'base64'),
  };
}

export function voucherFromProto({ actorId, instanceId, index, by, signature }: proto.Voucher): Voucher {
  return {
    actor: actorId,
    instance: instanceId,
    index,
    by: Buffer.from(by).toString('base64'),
    signature: Buffer.from(signature).toString('base64'),
  };
}
