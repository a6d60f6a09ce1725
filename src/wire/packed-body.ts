import { crc32 } from 'node:zlib';
import { Packr } from 'msgpackr';
import { assert, LIMITS, viewOf, writeUint64 } from '../base/index.js';
import type { NewEvent } from '../event/index.js';
import { BODY_COLUMNS, BODY_VERSION, PARENT_BYTES } from './body-format.js';

/** An encoded body on its way in: what the leader stamps a header onto. */
export interface PackedBody {
  readonly body: Uint8Array;
  /** Number of events. */
  readonly count: number;
  /** CRC-32 of body. */
  readonly checksum: number;
}

/**
 * Encodes the events of one batch, 1 to 65,536 that have passed
 * `checkNewEvent`, as `body-format.ts` says. Each event's data is copied once.
 */
export function packBody(events: readonly NewEvent[]): PackedBody {
  const body = encodeBody(events);
  return { body, count: events.length, checksum: crc32(body) };
}

/** The same without a checksum, behind `before` bytes that are the caller's to fill: they hold anything. */
export function encodeBody(events: readonly NewEvent[], before = 0): Buffer {
  const count = events.length;
  assert(count >= 1 && count <= LIMITS.eventsPerBatch, `a batch of ${count} events`);
  const namespaces = new DistinctTexts(count);
  const lengths = new Uint32Array(count);
  let dataBytes = 0;
  let plain = true;
  let position = 0;
  for (const event of events) {
    namespaces.add(event.namespace);
    const { byteLength } = event.data;
    lengths[position++] = byteLength;
    dataBytes += byteLength;
    plain &&= event.parentId === undefined && !event.type && !event.contentType && event.metadata === undefined;
  }

  const front = packElements([BODY_VERSION, count, namespaces.distinct, namespaces.index(), lengthsColumn(lengths)]);
  const dataHeader = binaryHeader(dataBytes);
  const back = plain
    ? NO_OPTIONAL_COLUMNS
    : packElements([
        parentsColumn(events),
        textsColumn(events, (event) => event.type),
        textsColumn(events, (event) => event.contentType),
        metadataColumn(events),
      ]);

  const bodyBytes = 1 + front.byteLength + dataHeader.byteLength + dataBytes + back.byteLength;
  const body = Buffer.allocUnsafe(before + bodyBytes);
  body[before] = FIXED_ARRAY | BODY_COLUMNS;
  body.set(front, before + 1);
  let offset = before + 1 + front.byteLength;
  body.set(dataHeader, offset);
  offset += dataHeader.byteLength;
  position = 0;
  for (const { data } of events) {
    body.set(data, offset);
    // A property of a typed array is slow to read where the array is cold.
    offset += lengths[position++] ?? 0;
  }
  body.set(back, offset);
  return body;
}

const packr = new Packr({ useRecords: false, structuredClone: false, moreTypes: false, bundleStrings: false });
const FIXED_ARRAY = 0x90;
const NIL = 0xc0;
/** No parents, types, content types, metadata. */
const NO_OPTIONAL_COLUMNS = new Uint8Array([NIL, NIL, NIL, NIL]);

/**
 * The elements without the array around them. MessagePack values stand side by
 * side, so a body can be put together from pieces around its data. The result
 * is overwritten by nothing, but keeps a larger buffer alive: copy it.
 */
function packElements(elements: readonly unknown[]): Uint8Array {
  assert(elements.length < 16, 'the header of a short array is one byte');
  return packr.pack(elements).subarray(1);
}

/** What stands before `length` bytes. */
function binaryHeader(length: number): Uint8Array {
  if (length < 2 ** 8) return new Uint8Array([0xc4, length]);
  if (length < 2 ** 16) return new Uint8Array([0xc5, length >>> 8, length & 0xff]);
  return new Uint8Array([0xc6, length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff]);
}

/** Texts of which most are alike: each distinct one once, in the order of first appearance, and an index per event. */
class DistinctTexts {
  readonly distinct: string[] = [];
  private readonly positions: Uint16Array;
  private readonly known = new Map<string, number>();
  private added = 0;
  private last: string | undefined;
  private lastPosition = 0;

  constructor(count: number) {
    this.positions = new Uint16Array(count);
  }

  add(text: string): void {
    if (text !== this.last) {
      let position = this.known.get(text);
      if (position === undefined) {
        position = this.distinct.push(text) - 1;
        this.known.set(text, position);
      }
      this.last = text;
      this.lastPosition = position;
    }
    this.positions[this.added++] = this.lastPosition;
  }

  index(): Uint8Array | null {
    if (this.distinct.length === 1) return null;
    if (this.distinct.length <= 2 ** 8) return Buffer.from(this.positions);
    const column = Buffer.allocUnsafe(this.positions.length * 2);
    const view = viewOf(column);
    for (const [at, position] of this.positions.entries()) view.setUint16(at * 2, position, true);
    return column;
  }
}

function lengthsColumn(lengths: Uint32Array): Uint8Array | number {
  const first = lengths[0] ?? 0;
  if (lengths.every((length) => length === first)) return first;
  const column = Buffer.allocUnsafe(lengths.length * 4);
  const view = viewOf(column);
  for (const [at, length] of lengths.entries()) view.setUint32(at * 4, length, true);
  return column;
}

function parentsColumn(events: readonly NewEvent[]): Uint8Array | null {
  if (events.every((event) => event.parentId === undefined)) return null;
  const column = Buffer.alloc(events.length * PARENT_BYTES);
  const view = viewOf(column);
  for (const [at, { parentId }] of events.entries()) {
    if (parentId === undefined) continue;
    writeUint64(view, at * PARENT_BYTES, parentId.counter);
    view.setUint16(at * PARENT_BYTES + 8, parentId.actor, true);
  }
  return column;
}

function textsColumn(events: readonly NewEvent[], textOf: (event: NewEvent) => string | undefined): unknown[] | null {
  if (events.every((event) => !textOf(event))) return null;
  const texts = new DistinctTexts(events.length);
  for (const event of events) texts.add(textOf(event) ?? '');
  return [texts.distinct, texts.index()];
}

function metadataColumn(events: readonly NewEvent[]): (string[] | null)[] | null {
  if (events.every((event) => event.metadata === undefined || event.metadata.size === 0)) return null;
  return events.map(({ metadata }) => (metadata === undefined || metadata.size === 0 ? null : sortedPairs(metadata)));
}

/** Keys and values in turn, sorted by key, so that the same events have the same bytes whatever encodes them. */
function sortedPairs(metadata: ReadonlyMap<string, string>): string[] {
  const pairs: string[] = [];
  let sorted = true;
  for (const [key, value] of metadata) {
    const before = pairs.at(-2);
    if (before !== undefined && before > key) sorted = false;
    pairs.push(key, value);
  }
  return sorted ? pairs : [...metadata].sort(([left], [right]) => (left < right ? -1 : 1)).flat();
}
