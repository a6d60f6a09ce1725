import { actorId, counter, logIndex, term } from '../../src/base/index.js';
import { BATCH_HEADER_BYTES, writeBatchHeader } from '../../src/event/index.js';
import { BackupFolder, type BackupManifest } from '../../src/offline/backup-folder.js';
import { BackupWriter } from '../../src/offline/backup-writer.js';
import type { Disk } from '../../src/storage/disk/disk.js';
import {
  type Checkpoint,
  EMPTY_LOG_TAIL,
  encodeCheckpoint,
  encodeMembership,
  type LogRecord,
  type LogTail,
  packBody,
  sealRecord,
  tailAfter,
} from '../../src/wire/index.js';
import { CLUSTER, INCARNATION, membershipOf, stateAfter } from '../storage/fixture.js';

export const SUBJECT = { stream: 'default', clusterId: CLUSTER, incarnation: INCARNATION };

/** A batch of a log: how many events, of how many bytes each, taken in by whom and when. */
export interface BatchSketch {
  readonly count?: number;
  readonly bytes?: number;
  readonly actor?: number;
  readonly timestampMs?: number;
}

/** A stream's log as three nodes have written it. */
export class StreamLog {
  readonly checkpoint: Checkpoint;
  readonly records: LogRecord[] = [];
  tail: LogTail;

  /** Begins after these records, which were given up. */
  constructor(earlier: readonly LogRecord[] = []) {
    const last = earlier.at(-1);
    const before = last === undefined ? EMPTY_LOG_TAIL : tailAfter(last);
    this.tail = before;
    this.checkpoint = {
      incarnation: INCARNATION,
      before,
      membership: membershipOf(1, 2, 3),
      membershipIndex: logIndex(0),
      state: stateAfter(earlier),
    };
  }

  /** One record of these batches. */
  add(...sketches: BatchSketch[]): LogRecord {
    let base: number = this.tail.nextCounter;
    const batches = sketches.map(({ count = 1, bytes = 10, actor = 1, timestampMs = 1000 }) => {
      const { body, checksum } = packBody(
        Array.from({ length: count }, (_, at) => ({ namespace: `/n/${at}`, data: Buffer.alloc(bytes, at) })),
      );
      const batch = Buffer.alloc(BATCH_HEADER_BYTES + body.byteLength);
      const header = {
        baseCounter: counter(base),
        count,
        actor: actorId(actor),
        timestampMs,
        producer: 0,
        epoch: 0,
        sequence: 0,
      };
      writeBatchHeader(batch, 0, { ...header, flags: 0, bodyLength: body.byteLength, bodyChecksum: checksum });
      batch.set(body, BATCH_HEADER_BYTES);
      base += count;
      return batch;
    });
    const payload = Buffer.concat(batches);
    return this.seal(
      'events',
      base - this.tail.nextCounter,
      payload,
      Math.max(...sketches.map(({ timestampMs = 1000 }) => timestampMs)),
    );
  }

  addConfiguration(...actors: number[]): LogRecord {
    return this.seal('configuration', 0, encodeMembership(membershipOf(...actors)));
  }

  addMany(records: number, sketch: BatchSketch = {}): LogRecord[] {
    return Array.from({ length: records }, () => this.add(sketch));
  }

  private seal(kind: 'events' | 'configuration', eventCount: number, payload: Uint8Array, timestampMs = 0): LogRecord {
    const unsealed = {
      kind,
      term: term(Math.max(3, this.tail.term)),
      eventCount,
      payloadBytes: payload.byteLength,
      appendedMs: timestampMs,
    };
    const record = sealRecord(this.tail, unsealed, (target) => target.set(payload));
    this.tail = tailAfter(record);
    this.records.push(record);
    return record;
  }
}

/** Backs records up, or adds them to what is there. */
export async function backUpRecords(
  path: string,
  { checkpoint }: StreamLog,
  records: readonly LogRecord[],
  options: { fileBytes?: number; disk?: Disk; confirmed?: boolean } = {},
): Promise<BackupManifest> {
  const { fileBytes = 4096, disk, confirmed = true } = options;
  const folder = await BackupFolder.open(path, disk);
  const now = (): string => '2026-01-31T12:00:00.000Z';
  const writer = await BackupWriter.begin({
    folder,
    subject: SUBJECT,
    checkpoint: encodeCheckpoint(checkpoint),
    now,
    fileBytes,
  });
  for (const record of records) await writer.add(record);
  return await writer.finish(confirmed);
}

/** Everything that a backup holds, verified. */
export async function recordsOf(path: string): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const part of (await BackupFolder.open(path)).records()) records.push(...part);
  return records;
}
