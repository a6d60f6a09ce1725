import { type LogIndex, logIndex, type TimeBound, type Work } from '../base/index.js';
import type { Glob, StoredBatch } from '../event/index.js';
import { inTurns, type Stream } from '../stream/index.js';
import { batchesOf, type LogRecord, type Selection, selectEvents, selectingEvents } from '../wire/index.js';
import { backwardRecords } from './backward-records.js';
import { HeldRecords } from './held-records.js';
import type { ReadPlan } from './read-plan.js';
import { endPosition, firstPosition, lastCounterAt, startPosition } from './read-position.js';
import type { Reader } from './reading.js';

/** Which events a read is about: those between its bounds that have a namespace which the glob matches. */
export interface ReadRange {
  readonly glob: Glob;
  /** The record to begin with. */
  readonly first: LogIndex;
  /** The last record; a tail goes on behind it. */
  readonly last: LogIndex;
  /** Only events with a counter between these. */
  readonly afterCounter: number;
  readonly beforeCounter: number;
  /** Whether a record comes late enough, and whether too late, by log time. */
  readonly isSince: TimeBound;
  readonly isBehind: TimeBound;
}

/**
 * Finds where a read begins and ends, of what is committed up to `end`. Bounds
 * that are events must be events of this stream: a position of another history
 * would silently skip or repeat some.
 */
export async function resolveRange(stream: Stream, plan: ReadPlan, end: LogIndex, reader: Reader): Promise<ReadRange> {
  const { glob, sinceMs, untilMs } = plan;
  const start = plan.start === undefined ? firstPosition(stream) : await startPosition(stream, plan.start);
  const stop = plan.end === undefined ? undefined : await endPosition(stream, plan.end);
  const isSince: TimeBound = sinceMs === 0 ? () => true : stream.state.timeBound(sinceMs);
  const isBehind: TimeBound = endsNow(stream, untilMs) ? () => false : stream.state.timeBound(untilMs);
  const since = sinceMs === 0 ? undefined : await stream.group.indexOfTime(isSince);
  const until = untilMs === Number.POSITIVE_INFINITY ? undefined : await stream.group.indexOfTime(isBehind);
  const range: ReadRange = {
    glob,
    // What is not committed may give way to something else: whether it is late enough is asked of each record again.
    first: logIndex(Math.max(start.index, sinceMs === 0 ? 0 : Math.min(since ?? Number.POSITIVE_INFINITY, end + 1))),
    last: logIndex(Math.min(end, stop?.index ?? end, until === undefined ? end : until - 1)),
    afterCounter: start.afterCounter,
    beforeCounter: stop?.beforeCounter ?? Number.POSITIVE_INFINITY,
    isSince,
    isBehind,
  };
  if (plan.fromNow) return await behindEnd(stream, range, end);
  return plan.last === Number.POSITIVE_INFINITY ? range : await lastOf(stream, range, plan.last, reader);
}

/**
 * What is there was appended by now, also where log time lies in the future because a clock was wrong: a read that goes
 * on until now, or nearly, has all of it.
 */
function endsNow({ group: { tail, time } }: Stream, untilMs: number): boolean {
  const { timestampMs } = time.stamp() ?? { timestampMs: Number.POSITIVE_INFINITY };
  return (
    untilMs === Number.POSITIVE_INFINITY ||
    (tail.timeMs > timestampMs + time.toleranceMs && untilMs >= timestampMs - time.toleranceMs)
  );
}

/** A record's batches that may hold events of the range. */
export function batchesIn(range: ReadRange, record: LogRecord): StoredBatch[] {
  if (record.kind !== 'events' || !range.isSince(record) || range.isBehind(record)) return [];
  return batchesOf(record);
}

/** A batch's events that are of the range. */
export function selectOf(range: ReadRange, batch: StoredBatch): Selection {
  return selectEvents(batch, range.glob, range.afterCounter, range.beforeCounter);
}

/** {@link selectOf}, with places to interrupt it. */
export function selectingOf(range: ReadRange, batch: StoredBatch): Work<Selection> {
  return selectingEvents(batch, range.glob, range.afterCounter, range.beforeCounter);
}

/** What comes from now on: nothing of what there is has to be looked at for it. */
async function behindEnd(stream: Stream, range: ReadRange, end: LogIndex): Promise<ReadRange> {
  const first = logIndex(Math.max(range.first, end + 1));
  return { ...range, first, afterCounter: Math.max(range.afterCounter, await lastCounterAt(stream, end)) };
}

/** The end of a range: it begins with the last `count` of its events. */
async function lastOf(stream: Stream, range: ReadRange, count: number, reader: Reader): Promise<ReadRange> {
  const held = new HeldRecords(reader.reading.records);
  try {
    await held.reserve(reader.signal);
    return await searchLast(stream, range, count, reader);
  } finally {
    held.release();
  }
}

async function searchLast(
  stream: Stream,
  range: ReadRange,
  count: number,
  { signal, turns }: Reader,
): Promise<ReadRange> {
  let missing = count;
  for await (const record of backwardRecords(stream, range, signal)) {
    for (const batch of batchesIn(range, record).reverse()) {
      if (turns.isDue) await turns.next();
      const selection = await inTurns(turns, selectingOf(range, batch));
      const { baseCounter, count: events } = batch.header;
      const selected = selection === 'all' ? events : selection === 'none' ? 0 : selection.length;
      if (selected < missing) {
        missing -= selected;
        continue;
      }
      const position = typeof selection === 'string' ? events - missing : (selection.at(-missing) ?? 0);
      return { ...range, first: record.index, afterCounter: baseCounter + position - 1 };
    }
  }
  return range;
}
