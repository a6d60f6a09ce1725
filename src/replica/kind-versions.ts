import { FlotillaError } from '../base/index.js';
import { FIRST_VERSION, type Membership, type RecordKind } from '../wire/index.js';

/**
 * The version that must be active before a record of a kind is proposed: a
 * member that does not know the kind would have to stop.
 */
export const KIND_SINCE_VERSION: Readonly<Record<RecordKind, number>> = {
  'no-op': 1,
  configuration: 1,
  events: 1,
  settings: 1,
  'log-begin': 1,
  producer: 1,
  'log-time': 1,
};

export function activeVersionOf({ activeVersion = FIRST_VERSION }: Pick<Membership, 'activeVersion'>): number {
  return activeVersion;
}

/** Throws UPGRADE_NEEDED where records of this kind may not be proposed yet. */
export function requireKind(kind: RecordKind, activeVersion: number, since = KIND_SINCE_VERSION): void {
  const needed = since[kind];
  if (activeVersion >= needed) return;
  throw new FlotillaError(
    'UPGRADE_NEEDED',
    `a ${kind} record needs version ${needed}, and version ${activeVersion} is active: it is raised by itself once ` +
      'every member is upgraded and linked with the leader; nothing was proposed',
  );
}
