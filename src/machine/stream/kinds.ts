import type { RecordKindTraits } from '../record-kinds.js';

/** The kinds of records that a stream's log holds. */
export const STREAM_KINDS = {
  events: { code: 2, since: 1, isShared: true, time: 'needed' },
  settings: { code: 3, since: 1, isTakenUnderPressure: true },
  'log-begin': { code: 4, since: 1, isTakenUnderPressure: true },
  producer: { code: 5, since: 1, time: 'where known' },
  'log-time': { code: 6, since: 1, isTakenUnderPressure: true },
} as const satisfies Readonly<Record<string, RecordKindTraits>>;
