import type { ActorId, Member } from '../base/index.js';
import type { NodeIdentity } from '../storage/index.js';

/** What the storage wants to know of its node. */
export interface NodeFolder {
  readonly path: string;
  readonly groupsPath: string;
  identity: NodeIdentity;
}

export function memberOf(actor: ActorId): Member {
  return { actor, instance: String(actor).padStart(32, '0'), address: `node${actor}:3000` };
}
