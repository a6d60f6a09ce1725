import { LIMITS, type Voucher, type VoucherClaim } from '../base/index.js';
import { instanceOf, isSignedBy, type NodeKey } from './node-key.js';
import type * as proto from './proto.js';

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
