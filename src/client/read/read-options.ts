import { FlotillaError } from '../../base/index.js';
import { compileGlob, type EventId, parseEventId } from '../../event/index.js';
import { LATEST_TIMESTAMP_MS } from '../../wire/index.js';

/** What to read of a stream, and how. */
export interface ReadOptions {
  /** Namespaces to read; without it everything but the system's (`/**​/*`). */
  readonly glob?: string | undefined;
  /** Begin with the first event after this id (25 digits, or `counter.actor`); without it from the start. */
  readonly startAfter?: string | undefined;
  /** Begin with this event itself; in place of `startAfter`. */
  readonly startAt?: string | undefined;
  /** End before this event, or … */
  readonly endBefore?: string | undefined;
  /** … with it; in place of `endBefore`. Neither in a tail. */
  readonly endAt?: string | undefined;
  /**
   * Only events appended at this time or later (UTC milliseconds, or a Date), by
   * log time: the latest timestamp of an event and all before it. It never goes
   * back, as timestamps may when another node begins to lead; so what is
   * `since` a time and what is `until` it is everything, and nothing is both.
   */
  readonly since?: number | Date | undefined;
  /** Only events appended earlier than this. Not in a tail. */
  readonly until?: number | Date | undefined;
  /** Newest first; bounds mean the same, `limit` the newest so many. Not in a tail. */
  readonly backwards?: boolean | undefined;
  /** End after so many events; none or 0: no limit. */
  readonly limit?: number | undefined;
  /**
   * Begin with the last so many of the selected events; in a tail, go on from there. None or 0: begin with the first.
   */
  readonly last?: number | undefined;
  /** Only in a tail: begin after the end of the stream, with what comes from now on. */
  readonly fromNow?: boolean | undefined;
  /** Go on with new events instead of ending where the stream ended when the read began. */
  readonly tail?: boolean | undefined;
  /**
   * How sure the end must be. Without it: confirmed with a majority where that
   * can be had; `onStarted` tells. `confirmed`: else the read fails with
   * NO_LEADER. `local`: what the node at hand knows to be committed.
   */
  readonly consistency?: 'confirmed' | 'local' | undefined;
  /** What the read stands on; once, before the first event. */
  readonly onStarted?: ((started: ReadStarted) => void) | undefined;
  /** Only in a tail, once: everything there was at its start has been delivered. */
  readonly onCaughtUp?: (() => void) | undefined;
  /** The connection was lost, or its node refused; the read goes on elsewhere. */
  readonly onReconnect?: ((cause: FlotillaError) => void) | undefined;
  /** Ends the read with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

export interface ReadStarted {
  /** Whether a majority confirmed the end. */
  readonly confirmed: boolean;
  /** Id of the last event there was when the read began; undefined for an empty stream. */
  readonly endId: string | undefined;
  /** The stream's incarnation. */
  readonly incarnation: string;
}

/** Options as they go to a node: ids in their long form, times in UTC milliseconds, counts as numbers. */
export interface CheckedReadOptions extends Omit<ReadOptions, 'since' | 'until'> {
  readonly startAfterId: EventId | undefined;
  readonly limit: number;
  readonly last: number;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
}

/** Throws INVALID_ARGUMENT, which names the option. What goes together with what is for the node to say. */
export function checkReadOptions(options: ReadOptions): CheckedReadOptions {
  const { since, until, ...rest } = options;
  const { glob, startAfter, startAt, endBefore, endAt, consistency } = rest;
  if (glob !== undefined) compileGlob(glob, 'glob');
  if (consistency !== undefined && consistency !== 'confirmed' && consistency !== 'local') {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `consistency: ${String(consistency)} is not known; write "confirmed" or "local"`,
    );
  }
  for (const [field, id] of Object.entries({ startAt, endBefore, endAt }))
    if (id !== undefined) parseEventId(id, field);
  return {
    ...rest,
    limit: countOf(rest.limit ?? 0, 'limit'),
    last: countOf(rest.last ?? 0, 'last'),
    sinceMs: timeOf(since, 'since'),
    untilMs: timeOf(until, 'until'),
    startAfterId: startAfter === undefined ? undefined : parseEventId(startAfter, 'startAfter'),
  };
}

function countOf(count: number, field: string): number {
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new FlotillaError('INVALID_ARGUMENT', `${field}: ${String(count)} is not a number of events; write 0 or more`);
}

function timeOf(time: number | Date | undefined, field: string): number | undefined {
  if (time === undefined) return undefined;
  const timeMs = Number(time);
  if (Number.isSafeInteger(timeMs) && timeMs >= 0 && timeMs <= LATEST_TIMESTAMP_MS) return timeMs;
  throw new FlotillaError(
    'INVALID_ARGUMENT',
    `${field}: ${String(time)} is no time; give a Date, or whole milliseconds since 1970`,
  );
}
