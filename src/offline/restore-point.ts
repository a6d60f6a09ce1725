import { FlotillaError } from '../base/index.js';
import { type EventId, formatEventId, type StoredBatch } from '../event/index.js';
import { batchesOf, type LogRecord, type LogTail, sealRecord } from '../wire/index.js';

/** Up to where a log is restored. */
export type RestorePoint =
  /** Through the batch that holds this event. */
  | { readonly kind: 'event'; readonly counter: number; readonly id?: EventId | undefined }
  /** Up to the first batch with a later time; times need not rise from one to the next. */
  | { readonly kind: 'time'; readonly utcMs: number };

/**
 * What is kept of the record in which the point lies: all of it, the batches
 * before the point, sealed anew, or nothing. Undefined where the point lies
 * behind the record, which is kept whole then. `before` is what it follows.
 */
export function cutRecord(
  record: LogRecord,
  before: LogTail,
  point: RestorePoint,
): { readonly kept: LogRecord | undefined } | undefined {
  if (record.kind !== 'events') return undefined;
  const batches = batchesOf(record);
  const count = point.kind === 'event' ? countThrough(batches, point) : countUntil(batches, point.utcMs);
  if (count === undefined) return undefined;
  if (count === batches.length) return { kept: record };
  return { kept: count === 0 ? undefined : sealed(record, before, batches.slice(0, count)) };
}

function countThrough(
  batches: readonly StoredBatch[],
  { counter, id }: RestorePoint & { kind: 'event' },
): number | undefined {
  const position = batches.findIndex(({ header }) => counter < header.baseCounter + header.count);
  const batch = batches[position];
  if (batch === undefined) return undefined;
  if (id !== undefined && batch.header.actor !== id.actor) {
    const there = formatEventId({ counter: id.counter, actor: batch.header.actor });
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `event ${counter} of the backup is ${there}, not ${formatEventId(id)}: is it the id of another stream?`,
    );
  }
  return position + 1;
}

function countUntil(batches: readonly StoredBatch[], utcMs: number): number | undefined {
  const position = batches.findIndex(({ header }) => header.timestampMs > utcMs);
  return position === -1 ? undefined : position;
}

function sealed({ kind, term }: LogRecord, before: LogTail, batches: readonly StoredBatch[]): LogRecord {
  const payload = Buffer.concat(batches.map(({ bytes }) => bytes));
  const eventCount = batches.reduce((sum, { header }) => sum + header.count, 0);
  const timestampMs = Math.max(...batches.map(({ header }) => header.timestampMs));
  return sealRecord(
    before,
    { kind, term, eventCount, payloadBytes: payload.byteLength, appendedMs: timestampMs },
    (target) => target.set(payload),
  );
}
