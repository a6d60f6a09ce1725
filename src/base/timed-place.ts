import type { LogIndex } from './brand.js';

/** A record, or the place behind one. */
export interface TimedPlace {
  readonly index: LogIndex;
  /** Log time, UTC milliseconds. */
  readonly timeMs: number;
}

/**
 * Whether a place of the log is at or behind a time. False up to some place and true from there on, so that it can be
 * searched.
 */
export type TimeBound = (place: TimedPlace) => boolean;
