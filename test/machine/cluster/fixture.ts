import { actorId, type Member, type Voucher } from '../../../src/base/index.js';
import { type MemberCommand, memberCommand } from '../../../src/machine/cluster/index.js';

export const LEADER = actorId(1);

export const member = (actor: number, instance = String(actor).repeat(32).slice(0, 32)): Member => ({
  actor: actorId(actor),
  instance,
  address: `node${actor}:3000`,
});

export const voucher = (of: Member, index: number): Voucher => ({ ...of, index, by: 'key', signature: 'signature' });

export const takeIn = (taken: Member, index: number, predecessor?: string): MemberCommand =>
  memberCommand(LEADER, { member: taken, voucher: voucher(taken, index) }, predecessor);
