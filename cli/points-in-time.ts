import { DURATION_UNITS, parseQuantity } from '../src/base/index.js';

const DATE_AND_TIME =
  /^\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?<zone>[Zz]|[+-]\d{2}:?\d{2})?)?$/;
const UNIX_MS = /^\d{1,16}$/;

/**
 * A point in time as it is typed, in UTC milliseconds: a duration with its unit
 * is so long before `nowMs`, a bare number is UTC milliseconds, anything else
 * ISO 8601, in UTC where it names no zone, as all times that Flotilla prints.
 */
export function parsePointInTime(text: string, nowMs: number): number {
  const durationMs = parseQuantity(text, DURATION_UNITS);
  if (durationMs !== undefined && durationMs <= nowMs) return nowMs - durationMs;
  const timeMs = UNIX_MS.test(text) ? Number(text) : dateAndTime(text);
  if (timeMs !== undefined && timeMs >= 0 && !Number.isNaN(new Date(timeMs).getTime())) return timeMs;
  throw new Error(
    `${JSON.stringify(text.slice(0, 64))} is neither a duration before now (90s, 15m, 2h, 7d) nor a time since ` +
      '1970 (2026-03-01T12:00:00Z, or UTC milliseconds)',
  );
}

function dateAndTime(text: string): number | undefined {
  const match = DATE_AND_TIME.exec(text);
  if (match === null) return undefined;
  const hasTime = text.length > 'YYYY-MM-DD'.length;
  const iso = text.replace(' ', 'T').toUpperCase();
  const timeMs = Date.parse(match.groups?.['zone'] === undefined && hasTime ? `${iso}Z` : iso);
  // Date.parse takes the 31st of February for a day in March.
  return Number.isNaN(timeMs) || !isDay(text.slice(0, 10)) ? undefined : timeMs;
}

function isDay(day: string): boolean {
  const timeMs = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(timeMs) && new Date(timeMs).toISOString().startsWith(day);
}
