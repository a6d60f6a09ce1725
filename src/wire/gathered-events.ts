import { crc32 } from 'node:zlib';
import {
  type ActorId,
  actorId,
  assert,
  type Counter,
  counter,
  FlotillaError,
  LIMITS,
  readUint64,
  viewOf,
  writeUint64,
} from '../base/index.js';
import type { Event } from '../event/index.js';
import { type BodyReader, openBody } from './batch-body.js';
import { LATEST_TIMESTAMP_MS } from './batch-events.js';
import { encodeBody } from './packed-body.js';

/**
 * Events from many batches, packed together: what a batch's header says once,
 * each has for itself. Layout, little-endian:
 *
 *     offset  size
 *          0     1  format, 1
 *          1     3  0
 *          4     4  number of events
 *          8     8  counter of the first event
 *         16     4  number of stamps
 *         20     4  length of the body
 *         24     4  CRC-32 of bytes 0 to 23, then of all that follows this field
 *         28        per event 4 bytes: its counter less the first one's, ascending
 * per stamp 14 bytes: number of events, next to each other, that have it (4), actor id (2), UTC milliseconds (8)
 *                   a body as a batch has it, see body-format.ts
 */
const HEADER_BYTES = 28;
const CHECKSUM_OFFSET = 24;
const FORMAT = 1;
const COUNTER_BYTES = 4;
const STAMP_BYTES = 14;

interface Stamp {
  /** Position behind the last event that has it. */
  readonly end: number;
  readonly actor: ActorId;
  readonly timestampMs: number;
}

/** Packs events of ascending counters, 1 to 65,536 that lie less than 2^32 apart. */
export function packGathered(events: readonly Event[]): Buffer {
  const [first] = events;
  assert(first !== undefined, 'there is an event to pack');
  const stamps = stampsOf(events);
  const bodyAt = HEADER_BYTES + events.length * COUNTER_BYTES + stamps.length * STAMP_BYTES;
  const bytes = encodeBody(events, bodyAt);
  const view = viewOf(bytes);
  view.setUint32(0, FORMAT, true);
  view.setUint32(4, events.length, true);
  writeUint64(view, 8, first.id.counter);
  view.setUint32(16, stamps.length, true);
  view.setUint32(20, bytes.byteLength - bodyAt, true);
  let at = HEADER_BYTES;
  for (const { id } of events) {
    view.setUint32(at, id.counter - first.id.counter, true);
    at += COUNTER_BYTES;
  }
  let start = 0;
  for (const { end, actor, timestampMs } of stamps) {
    view.setUint32(at, end - start, true);
    view.setUint16(at + 4, actor, true);
    writeUint64(view, at + 6, timestampMs);
    start = end;
    at += STAMP_BYTES;
  }
  view.setUint32(CHECKSUM_OFFSET, checksumOf(bytes), true);
  return bytes;
}

/** Events that were packed together, each read at its place when it is asked for. Positions count from 0. */
export class GatheredEvents {
  /** As they were packed. */
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly firstCounter: Counter;
  readonly body: BodyReader;
  private readonly view: DataView;
  private readonly stamps: readonly Stamp[];

  private constructor(bytes: Uint8Array, view: DataView, count: number, stamps: readonly Stamp[], body: BodyReader) {
    this.bytes = bytes;
    this.view = view;
    this.count = count;
    this.firstCounter = counter(readUint64(view, 8));
    this.stamps = stamps;
    this.body = body;
  }

  /** Opens what stands at `offset`, whatever may follow. Throws DATA_LOSS where that is not what was packed. */
  static open(source: Uint8Array, offset = 0): GatheredEvents {
    const bytes = wholeAt(source, offset);
    const view = viewOf(bytes);
    if (view.getUint8(0) !== FORMAT) {
      throw new FlotillaError(
        'FOREIGN_NODE',
        `packed events of format ${view.getUint8(0)} are not known here: use a newer Flotilla`,
      );
    }
    const count = view.getUint32(4, true);
    const stampsAt = HEADER_BYTES + count * COUNTER_BYTES;
    const bodyAt = stampsAt + view.getUint32(16, true) * STAMP_BYTES;
    const stamps: Stamp[] = [];
    let end = 0;
    for (let at = stampsAt; at < bodyAt; at += STAMP_BYTES) {
      end += view.getUint32(at, true);
      stamps.push({ end, actor: actorId(view.getUint16(at + 4, true)), timestampMs: readUint64(view, at + 6) });
    }
    const body = openBody(bytes.subarray(bodyAt));
    const known = stamps.every(({ timestampMs }) => timestampMs <= LATEST_TIMESTAMP_MS);
    if (!known || end !== count || body.count !== count || count > LIMITS.eventsPerBatch)
      throw damaged('its parts do not fit together');
    return new GatheredEvents(bytes, view, count, stamps, body);
  }

  get lastCounter(): Counter {
    return this.counterOf(this.count - 1);
  }

  counterOf(position: number): Counter {
    return counter(this.firstCounter + this.view.getUint32(HEADER_BYTES + position * COUNTER_BYTES, true));
  }

  /** Calls `visit` for each event, in order. */
  forEach(visit: (position: number, eventCounter: Counter, actor: ActorId, timestampMs: number) => void): void {
    let position = 0;
    for (const { end, actor, timestampMs } of this.stamps) {
      for (; position < end; position++) visit(position, this.counterOf(position), actor, timestampMs);
    }
  }

  /** One after the other, each decoded when it is asked for. */
  *events(): Generator<Event, void, void> {
    const { body } = this;
    let position = 0;
    for (const { end, actor, timestampMs } of this.stamps) {
      for (; position < end; position++) {
        yield {
          id: { counter: this.counterOf(position), actor },
          parentId: body.parentOf(position),
          namespace: body.namespaceOf(position),
          timestampMs,
          data: body.dataOf(position),
          type: body.typeOf(position),
          contentType: body.contentTypeOf(position),
          metadata: body.metadataOf(position),
        };
      }
    }
  }

  toEvents(): Event[] {
    return [...this.events()];
  }
}

/** All that stand one after the other. */
export function openAllGathered(bytes: Uint8Array): GatheredEvents[] {
  const all: GatheredEvents[] = [];
  for (let offset = 0; offset < bytes.byteLength; ) {
    const gathered = GatheredEvents.open(bytes, offset);
    all.push(gathered);
    offset += gathered.bytes.byteLength;
  }
  return all;
}

function stampsOf(events: readonly Event[]): Stamp[] {
  const stamps: Stamp[] = [];
  let last: Event | undefined;
  let position = 0;
  for (const event of events) {
    const isOther = last !== undefined && (last.id.actor !== event.id.actor || last.timestampMs !== event.timestampMs);
    if (last !== undefined && isOther)
      stamps.push({ end: position, actor: last.id.actor, timestampMs: last.timestampMs });
    last = event;
    position++;
  }
  if (last !== undefined) stamps.push({ end: position, actor: last.id.actor, timestampMs: last.timestampMs });
  return stamps;
}

function wholeAt(source: Uint8Array, offset: number): Uint8Array {
  const left = source.byteLength - offset;
  if (left < HEADER_BYTES) throw damaged('it ends in the header');
  const view = new DataView(source.buffer, source.byteOffset + offset, left);
  const columns = view.getUint32(4, true) * COUNTER_BYTES + view.getUint32(16, true) * STAMP_BYTES;
  const length = HEADER_BYTES + columns + view.getUint32(20, true);
  if (length > left) throw damaged(`it ends after ${left} of ${length} bytes`);
  const bytes = source.subarray(offset, offset + length);
  if (view.getUint32(CHECKSUM_OFFSET, true) !== checksumOf(bytes)) throw damaged('its checksum does not fit');
  return bytes;
}

function checksumOf(bytes: Uint8Array): number {
  return crc32(bytes.subarray(CHECKSUM_OFFSET + 4), crc32(bytes.subarray(0, CHECKSUM_OFFSET)));
}

function damaged(why: string): FlotillaError {
  return new FlotillaError('DATA_LOSS', `packed events are damaged: ${why}`);
}
