import { crc32 } from 'node:zlib';
import { actorId, counter, term } from '../../src/base/index.js';
import { BATCH_HEADER_BYTES, type NewEvent, writeBatchHeader } from '../../src/event/index.js';
import type { RecordKind } from '../../src/machine/index.js';
import { type LogRecord, type LogTail, packBody, sealRecord } from '../../src/wire/index.js';

export interface TestBatch {
  readonly events: readonly NewEvent[];
  readonly actor?: number;
  readonly timestampMs?: number;
}

/** The record with these batches that follows `tail`; without any, one that holds no events. */
export function sealBatches(tail: LogTail, batches: readonly TestBatch[]): LogRecord {
  const bodies = batches.map(({ events }) => packBody(events));
  const kind: RecordKind = batches.length === 0 ? 'no-op' : 'events';
  const eventCount = bodies.reduce((sum, { count }) => sum + count, 0);
  const payloadBytes = bodies.reduce((sum, { body }) => sum + BATCH_HEADER_BYTES + body.byteLength, 0);
  return sealRecord(tail, { kind, term: term(Math.max(1, tail.term)), eventCount, payloadBytes }, (payload) => {
    let offset = 0;
    let baseCounter: number = tail.nextCounter;
    for (const [at, { body, count }] of bodies.entries()) {
      const batch = batches[at];
      writeBatchHeader(payload, offset, {
        flags: 0,
        actor: actorId(batch?.actor ?? 1),
        count,
        baseCounter: counter(baseCounter),
        timestampMs: batch?.timestampMs ?? 1_700_000_000_000,
        producer: 0,
        epoch: 0,
        sequence: 0,
        bodyLength: body.byteLength,
        bodyChecksum: crc32(body),
      });
      payload.set(body, offset + BATCH_HEADER_BYTES);
      offset += BATCH_HEADER_BYTES + body.byteLength;
      baseCounter += count;
    }
  });
}
