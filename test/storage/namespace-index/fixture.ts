import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { counter, type LogIndex, logIndex, seededRandom } from '../../../src/base/index.js';
import { type Event, type Glob, isSystemNamespace, type NewEvent } from '../../../src/event/index.js';
import { systemClock } from '../../../src/group/system-clock.js';
import { Pace } from '../../../src/storage/namespace-index/index.js';
import {
  batchesOf,
  EMPTY_LOG_TAIL,
  eventsOf,
  type LogRecord,
  type LogTail,
  tailAfter,
} from '../../../src/wire/index.js';
import { sealBatches, type TestBatch } from '../event-records.js';

export const unhurried = (): Pace => new Pace(systemClock, () => false);

const anyName = fc.oneof(
  fc.constantFrom(
    '/a',
    '/a/b',
    '/a/b/c',
    '/a/.c',
    '/b',
    '/b/x',
    'a',
    '/$sys/x',
    '/é/ü',
    '/\ue000',
    '/\u{1f600}',
    `/long/${'n'.repeat(300)}`,
  ),
  fc.integer({ min: 0, max: 60 }).map((n) => `/n/${n}`),
);
const anyEvent: fc.Arbitrary<NewEvent> = fc.record(
  { namespace: anyName, data: fc.integer({ min: 0, max: 300 }).map((length) => new Uint8Array(length)) },
  { noNullPrototype: true },
);
const anyBatch: fc.Arbitrary<TestBatch> = fc.record(
  {
    events: fc.oneof(
      fc.array(anyEvent, { minLength: 1, maxLength: 6 }),
      fc
        .tuple(anyEvent, fc.integer({ min: 1, max: 20 }))
        .map(([event, count]) => Array.from({ length: count }, () => event)),
    ),
    actor: fc.integer({ min: 1, max: 3 }),
    timestampMs: fc.integer({ min: 1, max: 1000 }),
  },
  { noNullPrototype: true },
);

/** Records with batches of all kinds, some without any. */
export const anyRecords: fc.Arbitrary<LogRecord[]> = fc
  .array(fc.array(anyBatch, { maxLength: 4 }), { minLength: 1, maxLength: 40 })
  .map(sealAll);

export function sealAll(records: readonly (readonly TestBatch[])[]): LogRecord[] {
  let tail: LogTail = EMPTY_LOG_TAIL;
  return records.map((batches) => {
    const record = sealBatches(tail, batches);
    tail = tailAfter(record);
    return record;
  });
}

/** So many records, each of a batch with events of `names`, in turn. */
export function recordsOf(names: readonly string[], count: number, eventsPerRecord = 10): LogRecord[] {
  const random = seededRandom(7);
  return sealAll(
    Array.from({ length: count }, () => {
      const events = Array.from({ length: eventsPerRecord }, () => ({
        namespace: names[Math.floor(random() * names.length)] ?? '',
        data: new Uint8Array(Math.floor(random() * 60)),
      }));
      return [{ events }];
    }),
  );
}

/** What stands in the records, event by event. */
export function eventsIn(records: readonly LogRecord[]): (Event & { readonly index: LogIndex })[] {
  return records.flatMap((record) =>
    record.kind === 'events'
      ? batchesOf(record).flatMap((batch) => eventsOf(batch).map((event) => ({ ...event, index: record.index })))
      : [],
  );
}

/** Records as a sealed segment offers them to its index. */
export function segmentOf(records: readonly LogRecord[], runBytes: number) {
  const last = records.at(-1);
  return {
    before: EMPTY_LOG_TAIL,
    tail: last === undefined ? EMPTY_LOG_TAIL : tailAfter(last),
    runBytes,
    read: async (from: LogIndex, to: LogIndex, maxBytes: number): Promise<LogRecord[]> => {
      const found: LogRecord[] = [];
      let bytes = 0;
      for (const record of records.slice(from - 1, to)) {
        bytes += record.bytes.byteLength;
        if (found.length > 0 && bytes > maxBytes) break;
        found.push(record);
      }
      return found;
    },
  };
}

export function matchesOf(records: readonly LogRecord[], glob: Glob): string[] {
  return eventsIn(records)
    .filter(({ namespace }) => (glob.everything ? !isSystemNamespace(namespace) : glob.matches(namespace)))
    .map(textOf);
}

export const textOf = ({ id, namespace, timestampMs, data }: Event): string =>
  `${id.counter}.${id.actor} ${namespace} ${timestampMs} ${data.byteLength}`;

export async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

export const indexPath = (directory: string): string => join(directory, 'namespaces');
export const first = logIndex(1);
export const none = counter(0);

/** The same batches in one chain. */
export function reseal(records: readonly LogRecord[]): LogRecord[] {
  return sealAll(
    records.map((record) =>
      record.kind === 'events'
        ? batchesOf(record).map((batch) => ({
            events: eventsOf(batch),
            actor: batch.header.actor,
            timestampMs: batch.header.timestampMs,
          }))
        : [],
    ),
  );
}
