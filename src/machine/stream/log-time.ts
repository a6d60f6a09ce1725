import { LIMITS, type LogIndex, type TimeBound, type TimedPlace } from '../../base/index.js';

/**
 * Log time was set back here: every record before it was appended at this time or earlier, whatever log time says
 * there.
 */
export interface LogTimeCorrection {
  readonly index: LogIndex;
  readonly timeMs: number;
}

/**
 * The corrections with one more. It overrules those before it that were not as
 * far back. Beyond so many the oldest is forgotten: what stands before it then
 * counts as appended later than it was, and is kept longer.
 */
export function corrected(
  corrections: readonly LogTimeCorrection[],
  { index, timeMs }: TimedPlace,
): LogTimeCorrection[] {
  const earlier = corrections.filter((correction) => correction.timeMs < timeMs);
  return [...earlier, { index, timeMs }].slice(-LIMITS.logTimeCorrections);
}

/**
 * The time by which a record was appended. Records stand in the order in which they were appended, so it is no later
 * than any correction behind the record says. From record to record this only rises.
 */
export function appendedByMs(corrections: readonly LogTimeCorrection[], { index, timeMs }: TimedPlace): number {
  return Math.min(timeMs, corrections.find((correction) => correction.index > index)?.timeMs ?? timeMs);
}

/**
 * Where the log comes to a time. What stands up to `beginIndex` was given up, and
 * its corrections are forgotten: nothing is found there.
 */
export function timeBound(
  corrections: readonly LogTimeCorrection[],
  soughtMs: number,
  beginIndex: LogIndex,
): TimeBound {
  return (place) => place.index > beginIndex && appendedByMs(corrections, place) >= soughtMs;
}
