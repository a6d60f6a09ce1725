import { FlotillaError } from '../base/index.js';

/** Every cluster begins with it. */
export const FIRST_VERSION = 1;

/** How records of a kind come into the log. */
export interface RecordKindTraits {
  /** What stands for the kind in a record's envelope. Never given to another kind. */
  readonly code: number;
  /**
   * The version that must be active before one is proposed: a member that does not know the kind would have to stop.
   */
  readonly since: number;
  /** Commands of the kind that arrive together share a record; absent: each has one of its own. */
  readonly isShared?: true;
  /**
   * It bears the time at which it is appended: it waits until that is known, or goes without; absent: it bears none.
   */
  readonly time?: 'needed' | 'where known';
  /** It is taken although disks are full, because it frees space or takes next to none. */
  readonly isTakenUnderPressure?: true;
}

/** What the log of every group holds, whatever runs on it. */
const GROUP_KINDS = {
  'no-op': { code: 0, since: 1 },
  configuration: { code: 1, since: 1 },
} as const satisfies Readonly<Record<string, RecordKindTraits>>;

/** The kinds that a stream's machine knows. */
const STREAM_KINDS = {
  events: { code: 2, since: 1, isShared: true, time: 'needed' },
  settings: { code: 3, since: 1, isTakenUnderPressure: true },
  'log-begin': { code: 4, since: 1, isTakenUnderPressure: true },
  producer: { code: 5, since: 1, time: 'where known' },
  'log-time': { code: 6, since: 1, isTakenUnderPressure: true },
} as const satisfies Readonly<Record<string, RecordKindTraits>>;

/** The kinds that the cluster's machine knows. */
const CLUSTER_KINDS = {
  cluster: { code: 7, since: 1, isTakenUnderPressure: true },
  member: { code: 8, since: 1, isTakenUnderPressure: true },
  'member-address': { code: 9, since: 1, isTakenUnderPressure: true },
  'member-leaving': { code: 10, since: 1, isTakenUnderPressure: true },
  'member-left': { code: 11, since: 1, isTakenUnderPressure: true },
  'active-version': { code: 12, since: 1, isTakenUnderPressure: true },
} as const satisfies Readonly<Record<string, RecordKindTraits>>;

/** All kinds of records: those of every group, and those of each state machine. */
export const RECORD_KINDS = { ...GROUP_KINDS, ...STREAM_KINDS, ...CLUSTER_KINDS };

export type RecordKind = keyof typeof RECORD_KINDS;

export type StreamRecordKind = keyof typeof STREAM_KINDS;

export type ClusterRecordKind = keyof typeof CLUSTER_KINDS;

export function traitsOf(kind: RecordKind): RecordKindTraits {
  return RECORD_KINDS[kind];
}

const BY_CODE: ReadonlyMap<number, RecordKind> = new Map(
  (Object.keys(RECORD_KINDS) as RecordKind[]).map((kind) => [RECORD_KINDS[kind].code, kind]),
);

/** Undefined where a newer version has registered it. */
export function recordKindOf(code: number): RecordKind | undefined {
  return BY_CODE.get(code);
}

/** Why records of this kind may not be proposed yet; undefined where they may. */
export function refusalOfKind(
  kind: RecordKind,
  activeVersion: number,
  { since }: Pick<RecordKindTraits, 'since'> = traitsOf(kind),
): FlotillaError | undefined {
  if (activeVersion >= since) return undefined;
  return new FlotillaError(
    'UPGRADE_NEEDED',
    `a ${kind} record needs version ${since}, and version ${activeVersion} is active: it is raised by itself ` +
      'once every member is upgraded and linked with the leader; nothing was proposed',
  );
}
