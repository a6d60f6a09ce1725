import type { Member } from '../wire/index.js';

/**
 * Who is talked to while the members change. Where an actor has been another
 * node before, the newer counts: who is not among `next` catches up on old times.
 */
export function bothOf(known: readonly Member[], next: readonly Member[], isMember: boolean): Member[] {
  const [older, newer] = isMember ? [known, next] : [next, known];
  return [...new Map([...older, ...newer].map((member) => [member.actor, member])).values()];
}
