import type { FlotillaError, GroupId } from '../../base/index.js';
import type { RecordSource } from '../../group/index.js';

/** What the storage tells of damage and its repair: for logs and metrics. */
export interface HealingObserver {
  /** A record in a sealed segment is damaged; none of it is served. */
  damaged(group: GroupId, segment: string, damage: FlotillaError): void;
  /** The segment was rebuilt, with so many records of other nodes. */
  repaired(
    group: GroupId,
    segment: string,
    range: { readonly from: number; readonly to: number; readonly fetched: number },
  ): void;
  /** It could not be, for now. */
  notRepaired(group: GroupId, segment: string, reason: string): void;
  /** So much of the sealed segments was verified in the background. */
  scrubbed(bytes: number): void;
}

/** What all logs of a node share to heal: where other copies are, which the storage is told once there are links. */
export interface Healing {
  source: RecordSource | undefined;
  readonly observer: HealingObserver;
}

export const UNOBSERVED: HealingObserver = {
  damaged: () => undefined,
  repaired: () => undefined,
  notRepaired: () => undefined,
  scrubbed: () => undefined,
};
