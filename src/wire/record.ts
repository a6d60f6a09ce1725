import { crc32 } from 'node:zlib';
import {
  assert,
  type Counter,
  counter,
  FlotillaError,
  type LogIndex,
  logIndex,
  readUint64,
  type Seat,
  type Term,
  term,
  viewOf,
  writeUint64,
} from '../base/index.js';
import { readBatch, type StoredBatch } from '../event/index.js';
import { type RecordKind, recordKindOf, traitsOf } from '../machine/index.js';
import type { Configuration, EntryInfo } from '../raft/index.js';

/**
 * A log record: one Raft entry in the envelope in which it travels and is stored.
 *
 * LevelDB may lose a record in the middle or return a wrong value without an
 * error, so nothing that it returns is believed before the envelope has been
 * checked: the CRC says that the bytes are those that were written, the index
 * and the chained checksum say that no record is missing or of another history.
 *
 * Layout, little-endian:
 *
 *     offset  size
 *          0     1  format, 1
 *          1     1  kind
 *          2     2  0
 *          4     4  length of the payload
 *          8     8  index
 *         16     8  term
 *         24     8  first counter: what the first event in or after this record has
 *         32     4  number of events in the payload
 *         36     4  checksum of the record before (0 before the first)
 *         40     8  log time, UTC milliseconds: when this record was appended, or later
 *         48     4  checksum: CRC-32 over bytes 0..47, then the payload
 *         52        payload
 *
 * The timestamps of events go back where a leader's clock is behind that of the
 * one before it; log time does not, so it finds a record, and it is the same on
 * every node whatever its log begins with. Only a `log-time` record sets it back,
 * where clocks were wrong: what stands before was appended by then, whatever log
 * time says there (docs/adr/0001-clocks.md).
 */
export const RECORD_HEADER_BYTES = 52;
const CHECKSUM_OFFSET = 48;
const RECORD_FORMAT = 1;

export interface RecordHeader {
  readonly kind: RecordKind;
  readonly index: LogIndex;
  readonly term: Term;
  readonly firstCounter: Counter;
  readonly eventCount: number;
  readonly previousChecksum: number;
  /** Log time, UTC milliseconds. */
  readonly timeMs: number;
  readonly checksum: number;
}

export interface LogRecord extends RecordHeader {
  readonly payload: Uint8Array;
  /** The whole record, envelope included. */
  readonly bytes: Uint8Array;
}

/** Where a log ends: what the next record builds on. */
export interface LogTail {
  readonly index: LogIndex;
  readonly term: Term;
  readonly checksum: number;
  readonly nextCounter: Counter;
  /** Log time, UTC milliseconds; 0 before the first event. */
  readonly timeMs: number;
}

export const EMPTY_LOG_TAIL: LogTail = {
  index: logIndex(0),
  term: term(0),
  checksum: 0,
  nextCounter: counter(1),
  timeMs: 0,
};

export interface UnsealedRecord {
  readonly kind: RecordKind;
  readonly term: Term;
  readonly eventCount: number;
  readonly payloadBytes: number;
  /**
   * When it is appended, or later, for log time; absent where it does not say. A `log-time` record begins anew with it.
   */
  readonly appendedMs?: number;
}

/**
 * Makes the record that follows `tail`. `fill` writes the payload in place, so
 * that a batch's bytes are copied only once on their way into the log.
 */
export function sealRecord(tail: LogTail, record: UnsealedRecord, fill?: (payload: Buffer) => void): LogRecord {
  const bytes = Buffer.allocUnsafe(RECORD_HEADER_BYTES + record.payloadBytes);
  const view = viewOf(bytes);
  const index = logIndex(tail.index + 1);
  view.setUint8(0, RECORD_FORMAT);
  view.setUint8(1, traitsOf(record.kind).code);
  view.setUint16(2, 0, true);
  view.setUint32(4, record.payloadBytes, true);
  writeUint64(view, 8, index);
  const { appendedMs = 0 } = record;
  const timeMs = record.kind === 'log-time' ? appendedMs : Math.max(tail.timeMs, appendedMs);
  writeUint64(view, 16, record.term);
  writeUint64(view, 24, tail.nextCounter);
  view.setUint32(32, record.eventCount, true);
  view.setUint32(36, tail.checksum, true);
  writeUint64(view, 40, timeMs);
  const payload = bytes.subarray(RECORD_HEADER_BYTES);
  fill?.(payload);
  const checksum = checksumOf(bytes);
  view.setUint32(CHECKSUM_OFFSET, checksum, true);
  return {
    kind: record.kind,
    index,
    term: record.term,
    firstCounter: tail.nextCounter,
    eventCount: record.eventCount,
    previousChecksum: tail.checksum,
    timeMs,
    checksum,
    payload,
    bytes,
  };
}

/**
 * Checks the envelope of one record. Throws DATA_LOSS where a single bit is wrong, UPGRADE_NEEDED where a newer version
 * wrote it.
 */
export function openRecord(bytes: Uint8Array): LogRecord {
  const damaged = (what: string): FlotillaError => new FlotillaError('DATA_LOSS', `a log record is damaged: ${what}`);
  if (bytes.byteLength < RECORD_HEADER_BYTES) throw damaged(`${bytes.byteLength} bytes are less than its envelope`);
  const view = viewOf(bytes);
  const checksum = view.getUint32(CHECKSUM_OFFSET, true);
  const actual = checksumOf(bytes);
  if (checksum !== actual) throw damaged(`checksum ${actual} instead of ${checksum}`);
  const format = view.getUint8(0);
  if (format !== RECORD_FORMAT) throw newer(`format ${format}`);
  const kind = recordKindOf(view.getUint8(1));
  if (kind === undefined) throw newer(`kind ${view.getUint8(1)}`);
  if (view.getUint32(4, true) !== bytes.byteLength - RECORD_HEADER_BYTES) throw damaged('its length is wrong');
  return {
    kind,
    index: logIndex(readUint64(view, 8)),
    term: term(readUint64(view, 16)),
    firstCounter: counter(readUint64(view, 24)),
    eventCount: view.getUint32(32, true),
    previousChecksum: view.getUint32(36, true),
    timeMs: readUint64(view, 40),
    checksum,
    payload: bytes.subarray(RECORD_HEADER_BYTES),
    bytes,
  };
}

function newer(what: string): FlotillaError {
  return new FlotillaError(
    'UPGRADE_NEEDED',
    `a log record of ${what}, which is not known here, was written by a newer version of Flotilla; upgrade this node`,
  );
}

/** The tail of a log that ends with `record`. */
export function tailAfter(record: RecordHeader): LogTail {
  return {
    index: record.index,
    term: record.term,
    checksum: record.checksum,
    nextCounter: counter(record.firstCounter + record.eventCount),
    timeMs: record.timeMs,
  };
}

/** Whether `record` is the one that comes next after `tail`, in this very history. */
export function follows(tail: LogTail, record: RecordHeader): boolean {
  return (
    record.index === tail.index + 1 &&
    record.term >= tail.term &&
    record.previousChecksum === tail.checksum &&
    record.firstCounter === tail.nextCounter &&
    (record.timeMs >= tail.timeMs || record.kind === 'log-time')
  );
}

/** The batches of an events record, in order. */
export function batchesOf(record: LogRecord): StoredBatch[] {
  assert(record.kind === 'events', `a ${record.kind} record has no batches`);
  const batches: StoredBatch[] = [];
  for (let offset = 0; offset < record.payload.byteLength; ) {
    const batch = readBatch(record.payload, offset);
    if (batch === undefined)
      throw new FlotillaError('DATA_LOSS', `record ${record.index} holds something that is no batch at byte ${offset}`);
    batches.push(batch);
    offset += batch.bytes.byteLength;
  }
  return batches;
}

/** What a configuration record holds: which actors vote and listen, and which nodes these are. */
export interface Membership extends Configuration {
  readonly members: readonly Seat[];
}

/** A membership and the index of the record that put it in force; 0 for the one that the group was created with. */
export interface PlacedMembership {
  readonly index: LogIndex;
  readonly membership: Membership;
}

export function encodeMembership({ voters, outgoing, learners, members }: Membership): Buffer {
  const seats = members.map(({ actor, instance }) => ({ actor, instance }));
  return Buffer.from(JSON.stringify({ voters, outgoing, learners, members: seats }));
}

export function decodeMembership(payload: Uint8Array): Membership {
  // The record's checksum has been verified: these are the bytes that encodeMembership wrote.
  return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString()) as Membership;
}

/** What consensus needs to know of a record. */
export function entryInfoOf({ kind, index, term: inTerm, bytes, payload }: LogRecord): EntryInfo {
  const { byteLength } = bytes;
  if (kind === 'events') return { index, term: inTerm, bytes: byteLength, holdsEvents: true };
  if (kind !== 'configuration') return { index, term: inTerm, bytes: byteLength };
  return { index, term: inTerm, bytes: byteLength, configuration: decodeMembership(payload) };
}

function checksumOf(bytes: Uint8Array): number {
  return crc32(bytes.subarray(RECORD_HEADER_BYTES), crc32(bytes.subarray(0, CHECKSUM_OFFSET)));
}
