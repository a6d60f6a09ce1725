import { FlotillaError } from '../base/index.js';
import { compileGlob, DEFAULT_GLOB, type Glob, parseEventId } from '../event/index.js';
import type { Stream } from '../stream/index.js';
import { LATEST_TIMESTAMP_MS } from '../wire/index.js';
import type { EventBound } from './read-position.js';
import { requireIncarnation } from './streams.js';

/**
 * `confirmed`: up to what a majority says is the end. `local`: what this node knows of. `default`: confirmed where that
 * can be had and matters.
 */
export type Consistency = 'default' | 'confirmed' | 'local';

/** What a reader asks for. An empty text and 0 are as good as an absent field. */
export interface ReadRequest {
  /** Empty: the default one. */
  readonly stream: string;
  /** Refused where the stream has another. */
  readonly incarnation?: string;
  /** Empty: everything but the system's. */
  readonly glob?: string;
  /** Begin behind this event, or with it: 25 digits or "counter.actor". */
  readonly startAfter?: string;
  readonly startAt?: string;
  readonly endBefore?: string;
  readonly endAt?: string;
  /** Log times, UTC milliseconds: from `sinceMs` on, and before `untilMs`. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  /** The newest event comes first. */
  readonly backwards?: boolean;
  /** End after so many events. */
  readonly limit?: number;
  /** Begin with the last so many of the selected events. */
  readonly last?: number;
  /** Go on with new events after the end of the stream … */
  readonly tail?: boolean;
  /** … and only with these. */
  readonly fromNow?: boolean;
  readonly consistency?: Consistency;
  /** Batches that are wanted whole come as they are stored. */
  readonly packed?: boolean;
}

/** What a reader asked for, checked as far as that needs no reading. */
export interface ReadPlan {
  readonly glob: Glob;
  readonly start: EventBound | undefined;
  readonly end: EventBound | undefined;
  /** Log times, UTC milliseconds: from `sinceMs` on, and before `untilMs`. */
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly backwards: boolean;
  /** Infinity: none. */
  readonly limit: number;
  /** Begin with the last so many; Infinity: with the first. */
  readonly last: number;
  readonly tail: boolean;
  readonly fromNow: boolean;
  readonly consistency: Consistency;
  readonly packed: boolean;
}

/** Checks a request in full before anything is read. */
export function planRead(request: ReadRequest, stream: Stream): ReadPlan {
  checkCombination(request);
  const { incarnation = '', glob = '', backwards = false, tail = false, fromNow = false, packed = false } = request;
  requireIncarnation(stream, incarnation);
  return {
    glob: compileGlob(glob === '' ? DEFAULT_GLOB : glob, 'glob'),
    start: boundOf(request.startAfter, false, 'start_after') ?? boundOf(request.startAt, true, 'start_at'),
    end: boundOf(request.endBefore, false, 'end_before') ?? boundOf(request.endAt, true, 'end_at'),
    sinceMs: timeOf(request.sinceMs, 'since_ms') ?? 0,
    untilMs: timeOf(request.untilMs, 'until_ms') ?? Number.POSITIVE_INFINITY,
    backwards,
    limit: countOf(request.limit, 'limit'),
    last: countOf(request.last, 'last'),
    tail,
    fromNow,
    consistency: request.consistency ?? 'default',
    packed,
  };
}

/** What contradicts itself, with what the reader is told. */
function checkCombination(request: ReadRequest): void {
  const { startAfter = '', startAt = '', endBefore = '', endAt = '', untilMs, last = 0 } = request;
  const { backwards = false, tail = false, fromNow = false } = request;
  const contradictions: readonly (readonly [holds: boolean, why: string])[] = [
    [startAfter !== '' && startAt !== '', 'start_at: give either start_after or start_at'],
    [endBefore !== '' && endAt !== '', 'end_at: give either end_before or end_at'],
    [tail && endBefore !== '', 'end_before: a tail has no end; leave out one of the two'],
    [tail && endAt !== '', 'end_at: a tail has no end; leave out one of the two'],
    [tail && untilMs !== undefined, 'until_ms: a tail has no end; leave out one of the two'],
    [tail && backwards, 'backwards: a tail goes forward; leave out one of the two'],
    [backwards && last !== 0, 'last: backwards, limit says how many; use that'],
    [fromNow && !tail, 'from_now: there is nothing to read from now on without tail'],
    [fromNow && last !== 0, 'last: nothing comes before from_now; leave out one of the two'],
  ];
  const met = contradictions.find(([holds]) => holds);
  if (met !== undefined) throw new FlotillaError('INVALID_ARGUMENT', met[1]);
}

function boundOf(id: string | undefined, included: boolean, field: string): EventBound | undefined {
  return id === undefined || id === '' ? undefined : { id: parseEventId(id, field), included, field };
}

function timeOf(timeMs: number | undefined, field: string): number | undefined {
  if (timeMs === undefined || (timeMs >= 0 && timeMs <= LATEST_TIMESTAMP_MS)) return timeMs;
  throw new FlotillaError(
    'INVALID_ARGUMENT',
    `${field}: ${timeMs} is no time; it must be from 0 to ${LATEST_TIMESTAMP_MS} milliseconds`,
  );
}

function countOf(count: number | undefined, field: string): number {
  if (count === undefined) return Number.POSITIVE_INFINITY;
  if (count < 0) throw new FlotillaError('INVALID_ARGUMENT', `${field}: ${count} is negative; 0 means no limit`);
  return count === 0 ? Number.POSITIVE_INFINITY : count;
}
