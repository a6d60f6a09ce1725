import { actorId, counter, type LogIndex, logIndex } from '../../base/index.js';
import type { EventId } from '../../event/index.js';
import { type ByteSink, ByteSource } from './byte-sink.js';

/** A part of the file. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** Where a namespace's events of one run are. */
export interface NamespacePlace {
  /** Position of the run in the segment. */
  readonly run: number;
  /** Bytes of the events themselves, about. */
  readonly eventBytes: number;
  /** Bytes of the records that hold them, other events included. */
  readonly recordBytes: number;
  /** The records that hold them, ascending. */
  readonly records: readonly LogIndex[];
  /** The events once more, next to each other; absent where reading the records costs hardly more. */
  readonly copy: Extent | undefined;
}

/** What a segment holds of one namespace. */
export interface NamespaceRow {
  /** UTF-8. */
  readonly name: Buffer;
  /** Number of events. */
  readonly count: number;
  readonly first: EventId;
  readonly last: EventId;
  /** {@link NamespacePlace}s, ascending by run, encoded: lists of namespaces have no use for them. */
  readonly places: Buffer;
}

/** Rows stand next to each other, ascending by name; a name leaves out what it has in common with the one before. */
export class RowWriter {
  private readonly sink: ByteSink;
  private before: Buffer = NO_NAME;

  constructor(sink: ByteSink) {
    this.sink = sink;
  }

  add({ name, count, first, last, places }: NamespaceRow): void {
    const shared = commonLength(this.before, name);
    this.before = name;
    this.sink.varint(shared);
    this.sink.prefixed(name.subarray(shared));
    this.sink.varint(count);
    this.sink.varint(first.counter);
    this.sink.uint16(first.actor);
    this.sink.varint(last.counter - first.counter);
    this.sink.uint16(last.actor);
    this.sink.prefixed(places);
  }

  /** The next row is read without those before it. */
  startBlock(): void {
    this.before = NO_NAME;
  }
}

/** The rows of a block, in order. */
export class RowReader {
  private readonly source: ByteSource;
  private before: Buffer = NO_NAME;

  constructor(block: Uint8Array) {
    this.source = new ByteSource(block);
  }

  /** Undefined behind the last. */
  next(): NamespaceRow | undefined {
    const { source } = this;
    if (source.atEnd) return undefined;
    const shared = source.varint();
    const suffix = source.prefixed();
    const name = shared === 0 ? suffix : Buffer.concat([this.before.subarray(0, shared), suffix]);
    this.before = name;
    const count = source.varint();
    const first: EventId = { counter: counter(source.varint()), actor: actorId(source.uint16()) };
    const last: EventId = { counter: counter(first.counter + source.varint()), actor: actorId(source.uint16()) };
    return { name, count, first, last, places: source.prefixed() };
  }
}

/** `base`: the record before the segment. */
export function writePlace(sink: ByteSink, place: NamespacePlace, base: LogIndex): void {
  sink.varint(place.run);
  sink.varint(place.eventBytes);
  sink.varint(place.recordBytes);
  sink.varint(place.records.length);
  let before: number = base;
  for (const index of place.records) {
    sink.varint(index - before);
    before = index;
  }
  sink.varint(place.copy?.length ?? 0);
  if (place.copy !== undefined) sink.varint(place.copy.offset);
}

export function readPlaces(row: NamespaceRow, base: LogIndex): NamespacePlace[] {
  const source = new ByteSource(row.places);
  const places: NamespacePlace[] = [];
  while (!source.atEnd) {
    const run = source.varint();
    const eventBytes = source.varint();
    const recordBytes = source.varint();
    const records: LogIndex[] = [];
    let index: number = base;
    for (let left = source.varint(); left > 0; left--) {
      index += source.varint();
      records.push(logIndex(index));
    }
    const length = source.varint();
    const copy = length === 0 ? undefined : { offset: source.varint(), length };
    places.push({ run, eventBytes, recordBytes, records, copy });
  }
  return places;
}

const NO_NAME = Buffer.alloc(0);

function commonLength(left: Buffer, right: Buffer): number {
  const end = Math.min(left.byteLength, right.byteLength);
  let length = 0;
  while (length < end && left[length] === right[length]) length++;
  return length;
}
