import { FlotillaError } from '../base/index.js';
import { compileGlob, DEFAULT_GLOB, type Glob, parseEventId } from '../event/index.js';
import type { Replica } from '../replica/index.js';
import { LATEST_TIMESTAMP_MS, proto } from '../wire/index.js';
import type { EventBound } from './read-position.js';
import { requireIncarnation } from './streams.js';

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
  readonly consistency: proto.Consistency;
  readonly packed: boolean;
}

/** Checks a request in full before anything is read. */
export function planRead(request: proto.ReadRequest, replica: Replica): ReadPlan {
  if (!(request.consistency in proto.Consistency)) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `consistency: ${request.consistency} is unknown; use 0, 1 (confirmed) or 2 (local)`,
    );
  }
  checkCombination(request);
  requireIncarnation(replica, request.incarnation);
  return {
    glob: compileGlob(request.glob === '' ? DEFAULT_GLOB : request.glob, 'glob'),
    start: boundOf(request.startAfter, false, 'start_after') ?? boundOf(request.startAt, true, 'start_at'),
    end: boundOf(request.endBefore, false, 'end_before') ?? boundOf(request.endAt, true, 'end_at'),
    sinceMs: timeOf(request.sinceMs, 'since_ms') ?? 0,
    untilMs: timeOf(request.untilMs, 'until_ms') ?? Number.POSITIVE_INFINITY,
    backwards: request.backwards,
    limit: countOf(request.limit, 'limit'),
    last: countOf(request.last, 'last'),
    tail: request.tail,
    fromNow: request.fromNow,
    consistency: request.consistency,
    packed: request.packed,
  };
}

/** What contradicts itself, with what the reader is told. */
function checkCombination(request: proto.ReadRequest): void {
  const { startAfter, startAt, endBefore, endAt, untilMs, backwards, last, tail, fromNow } = request;
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

function boundOf(id: string, included: boolean, field: string): EventBound | undefined {
  return id === '' ? undefined : { id: parseEventId(id, field), included, field };
}

function timeOf(timeMs: number | undefined, field: string): number | undefined {
  if (timeMs === undefined || (timeMs >= 0 && timeMs <= LATEST_TIMESTAMP_MS)) return timeMs;
  throw new FlotillaError(
    'INVALID_ARGUMENT',
    `${field}: ${timeMs} is no time; it must be from 0 to ${LATEST_TIMESTAMP_MS} milliseconds`,
  );
}

function countOf(count: number, field: string): number {
  if (count < 0) throw new FlotillaError('INVALID_ARGUMENT', `${field}: ${count} is negative; 0 means no limit`);
  return count === 0 ? Number.POSITIVE_INFINITY : count;
}
