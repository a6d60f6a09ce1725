import {
  type ActorId,
  actorId,
  type Counter,
  counter,
  type LogIndex,
  readUint64,
  viewOf,
  writeUint64,
} from '../base/index.js';

/**
 * A batch is a header and a body. The body is encoded once, where the events
 * enter, and never again; the header is stamped by the stream's leader. Both go
 * over links, to disk, into the cache and out to consumers as they are.
 *
 * Layout, little-endian:
 *
 *     offset  size
 *          0     1  format, 1
 *          1     1  flags: 0; kept for a compressed data column
 *          2     2  actor id of the node that took the events in
 *          4     4  number of events
 *          8     8  counter of the first event; the others follow without gaps
 *         16     8  timestamp, UTC milliseconds, set by the leader
 *         24     8  producer id, 0 for a batch without a stamp
 *         32     4  producer epoch
 *         36     8  sequence of the batch at its producer
 *         44     4  length of the body
 *         48     4  CRC-32 of the body
 *         52        body
 */
export const BATCH_HEADER_BYTES = 52;
export const BATCH_FORMAT = 1;

/** What tells a stream that it has a batch already that a producer sends a second time. */
export interface ProducerStamp {
  /** 1 to 2^53 - 1; 0: the batch has no stamp. */
  readonly producer: number;
  /** 1 for a producer without a name; a named one's epoch is raised whenever it is opened anew. */
  readonly epoch: number;
  /** The number of the batch at its producer: 1, 2, 3 … */
  readonly sequence: number;
  /**
   * Every batch of this producer stands behind this record. It goes with the first batch of a producer without a name
   * to the leader, and is not stored. Absent: not known.
   */
  readonly bornAfter?: LogIndex;
}

export const NO_PRODUCER: ProducerStamp = { producer: 0, epoch: 0, sequence: 0 };

export interface BatchHeader extends Omit<ProducerStamp, 'bornAfter'> {
  readonly flags: number;
  readonly actor: ActorId;
  readonly count: number;
  readonly baseCounter: Counter;
  /** UTC milliseconds. */
  readonly timestampMs: number;
  readonly bodyLength: number;
  readonly bodyChecksum: number;
}

/** A stored batch: its header, its body, and both together as they stand in the log. */
export interface StoredBatch {
  readonly header: BatchHeader;
  readonly body: Uint8Array;
  readonly bytes: Uint8Array;
}

export function writeBatchHeader(target: Uint8Array, offset: number, header: BatchHeader): void {
  const view = viewOf(target);
  view.setUint8(offset, BATCH_FORMAT);
  view.setUint8(offset + 1, header.flags);
  view.setUint16(offset + 2, header.actor, true);
  view.setUint32(offset + 4, header.count, true);
  writeUint64(view, offset + 8, header.baseCounter);
  writeUint64(view, offset + 16, header.timestampMs);
  writeUint64(view, offset + 24, header.producer);
  view.setUint32(offset + 32, header.epoch, true);
  writeUint64(view, offset + 36, header.sequence);
  view.setUint32(offset + 44, header.bodyLength, true);
  view.setUint32(offset + 48, header.bodyChecksum, true);
}

/** Undefined where there is no whole batch of a known format at `offset`. */
export function readBatch(bytes: Uint8Array, offset: number): StoredBatch | undefined {
  if (offset + BATCH_HEADER_BYTES > bytes.byteLength) return undefined;
  const view = viewOf(bytes);
  if (view.getUint8(offset) !== BATCH_FORMAT) return undefined;
  const header: BatchHeader = {
    flags: view.getUint8(offset + 1),
    actor: actorId(view.getUint16(offset + 2, true)),
    count: view.getUint32(offset + 4, true),
    baseCounter: counter(readUint64(view, offset + 8)),
    timestampMs: readUint64(view, offset + 16),
    producer: readUint64(view, offset + 24),
    epoch: view.getUint32(offset + 32, true),
    sequence: readUint64(view, offset + 36),
    bodyLength: view.getUint32(offset + 44, true),
    bodyChecksum: view.getUint32(offset + 48, true),
  };
  const end = offset + BATCH_HEADER_BYTES + header.bodyLength;
  if (end > bytes.byteLength) return undefined;
  return { header, body: bytes.subarray(offset + BATCH_HEADER_BYTES, end), bytes: bytes.subarray(offset, end) };
}

/** The headers of those batches of an events record that have a stamp. */
export function stampedBatches(payload: Uint8Array): BatchHeader[] {
  const view = viewOf(payload);
  const found: BatchHeader[] = [];
  for (let offset = 0; offset + BATCH_HEADER_BYTES <= payload.byteLength; ) {
    const isStamped = view.getUint32(offset + 24, true) !== 0 || view.getUint32(offset + 28, true) !== 0;
    const batch = isStamped ? readBatch(payload, offset) : undefined;
    if (batch !== undefined) found.push(batch.header);
    offset += BATCH_HEADER_BYTES + view.getUint32(offset + 44, true);
  }
  return found;
}
