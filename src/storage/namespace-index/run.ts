import { assert, counter, LIMITS, type LogIndex, present } from '../../base/index.js';
import type { BatchHeader, Event, EventId } from '../../event/index.js';
import { type BodyReader, batchesOf, type LogRecord, openStoredBatch, packGathered } from '../../wire/index.js';
import { ByteSink } from './byte-sink.js';
import { type NamespacePlace, RowWriter, writePlace } from './namespace-row.js';
import type { Pace } from './pace.js';

/**
 * A run ends with the record that exceeds this, or the bytes that the caller says: it is what is held in memory while
 * an index is made.
 */
const RUN_NAMESPACES = 16 * 1024;

/**
 * Events are copied where the records that hold them are more than this many times as large, or where they are few of
 * the run: to open LevelDB for these takes longer than to read them.
 */
const COPY_RATIO = 2;

/** Copies go to the file when there are so many. */
const COPIES_BYTES = 64 * 1024;

/** What an event takes in a copy beside its data, about. */
const COPIED_EVENT_OVERHEAD_BYTES = 6;

interface HeldBatch {
  readonly header: BatchHeader;
  readonly body: BodyReader;
  /** Number of its first event in the run. */
  readonly start: number;
  readonly record: LogIndex;
  readonly recordBytes: number;
}

/** What a run of records holds, by namespace. */
export interface RunContents {
  /** Rows of the run's namespaces, one block. */
  readonly rows: Buffer;
  readonly recordBytes: number;
}

/** The file that takes the copies. */
export interface CopyFile {
  /** Where the next bytes will stand. */
  readonly offset: number;
  append(bytes: Uint8Array): void;
}

/**
 * Consecutive records, with all their events sorted by namespace together. Nothing is decoded but the namespaces; each
 * event is then met once more where it is copied.
 */
export class Run {
  private readonly number: number;
  private readonly base: LogIndex;
  private readonly maxBytes: number;
  private readonly batches: HeldBatch[] = [];
  private readonly names: string[] = [];
  private readonly ids = new Map<string, number>();
  /** Per namespace its number of events. */
  private readonly counts: number[] = [];
  /** Per event its namespace. */
  private namespaceOf = new Uint32Array(2 ** 14);
  private events = 0;
  private bytes = 0;

  /** `base`: the record before the segment. */
  constructor(number: number, base: LogIndex, maxBytes: number) {
    this.number = number;
    this.base = base;
    this.maxBytes = maxBytes;
  }

  get isFull(): boolean {
    return this.bytes >= this.maxBytes || this.names.length >= RUN_NAMESPACES;
  }

  get isEmpty(): boolean {
    return this.bytes === 0;
  }

  /** Throws DATA_LOSS where the record holds something that is no batch. */
  add(record: LogRecord): void {
    this.bytes += record.bytes.byteLength;
    if (record.kind !== 'events') return;
    for (const batch of batchesOf(record)) {
      const body = openStoredBatch(batch);
      this.batches.push({
        header: batch.header,
        body,
        start: this.events,
        record: record.index,
        recordBytes: record.bytes.byteLength,
      });
      this.addEvents(body);
    }
  }

  async contents(file: CopyFile, pace: Pace): Promise<RunContents> {
    const rows = new ByteSink(64 * 1024);
    const copies = new Copies(file);
    const place = new ByteSink(1024);
    const writer = new RowWriter(rows);
    const { order, starts, batchOf } = this.sorted();
    for (const id of sortedByName(this.names)) {
      const events = order.subarray(present(starts[id], 'a start'), present(starts[id + 1], 'an end'));
      place.clear();
      writePlace(place, this.placeOf(events, batchOf, copies), this.base);
      const [first, last] = [events[0] ?? 0, events.at(-1) ?? 0];
      writer.add({
        name: Buffer.from(this.names[id] ?? ''),
        count: events.length,
        first: this.idOf(first, batchOf),
        last: this.idOf(last, batchOf),
        places: place.bytes,
      });
      if (pace.isDue) await pace.rest();
    }
    copies.flush();
    return { rows: rows.bytes, recordBytes: this.bytes };
  }

  private addEvents(body: BodyReader): void {
    const local = body.namespaces.map((name) => this.idOfName(name));
    if (this.events + body.count > this.namespaceOf.length) {
      const larger = new Uint32Array(2 * (this.events + body.count));
      larger.set(this.namespaceOf);
      this.namespaceOf = larger;
    }
    for (let position = 0; position < body.count; position++) {
      const id = local[body.namespaceIndexOf(position)] ?? 0;
      this.namespaceOf[this.events++] = id;
      this.counts[id] = (this.counts[id] ?? 0) + 1;
    }
  }

  private idOfName(name: string): number {
    const known = this.ids.get(name);
    if (known !== undefined) return known;
    const id = this.names.push(name) - 1;
    this.ids.set(name, id);
    this.counts.push(0);
    return id;
  }

  /** The events' numbers, one namespace's after the other's, each ascending; and of each event its batch. */
  private sorted(): { order: Uint32Array; starts: Uint32Array; batchOf: Uint32Array } {
    const starts = new Uint32Array(this.names.length + 1);
    for (const [id, count] of this.counts.entries()) starts[id + 1] = (starts[id] ?? 0) + count;
    const next = starts.slice();
    const order = new Uint32Array(this.events);
    const batchOf = new Uint32Array(this.events);
    for (const [at, { start, body }] of this.batches.entries()) {
      for (let event = start; event < start + body.count; event++) {
        const id = this.namespaceOf[event] ?? 0;
        const to = next[id] ?? 0;
        next[id] = to + 1;
        order[to] = event;
        batchOf[event] = at;
      }
    }
    return { order, starts, batchOf };
  }

  private placeOf(events: Uint32Array, batchOf: Uint32Array, copies: Copies): NamespacePlace {
    const records: LogIndex[] = [];
    let eventBytes = 0;
    let recordBytes = 0;
    let lastRecord = 0;
    for (const event of events) {
      const batch = this.batchAt(batchOf[event]);
      eventBytes += batch.body.dataLengthOf(event - batch.start) + COPIED_EVENT_OVERHEAD_BYTES;
      if (batch.record === lastRecord) continue;
      lastRecord = batch.record;
      recordBytes += batch.recordBytes;
      records.push(batch.record);
    }
    const isSmall = eventBytes <= LIMITS.copiedNamespaceBytes && eventBytes * COPY_RATIO <= this.bytes;
    if (recordBytes <= eventBytes * COPY_RATIO && !isSmall)
      return { run: this.number, eventBytes, recordBytes, records, copy: undefined };
    const { offset } = copies;
    this.copy(events, batchOf, copies);
    const copy = { offset, length: copies.offset - offset };
    return { run: this.number, eventBytes, recordBytes, records, copy };
  }

  /** Copies in pieces that go out to a reader as they are. */
  private copy(events: Uint32Array, batchOf: Uint32Array, copies: Copies): void {
    let piece: Event[] = [];
    let bytes = 0;
    for (const event of events) {
      const { header, body, start } = this.batchAt(batchOf[event]);
      const position = event - start;
      piece.push({
        id: { counter: counter(header.baseCounter + position), actor: header.actor },
        parentId: body.parentOf(position),
        namespace: body.namespaceOf(position),
        timestampMs: header.timestampMs,
        data: body.dataOf(position),
        type: body.typeOf(position),
        contentType: body.contentTypeOf(position),
        metadata: body.metadataOf(position),
      });
      bytes += body.dataLengthOf(position) + COPIED_EVENT_OVERHEAD_BYTES;
      if (piece.length < LIMITS.eventsPerBatch && bytes < LIMITS.readResponseBytes) continue;
      copies.add(packGathered(piece));
      piece = [];
      bytes = 0;
    }
    if (piece.length > 0) copies.add(packGathered(piece));
  }

  private idOf(event: number, batchOf: Uint32Array): EventId {
    const { header, start } = this.batchAt(batchOf[event]);
    return { counter: counter(header.baseCounter + event - start), actor: header.actor };
  }

  private batchAt(position: number | undefined): HeldBatch {
    return present(this.batches[position ?? -1], 'each event is of a batch');
  }
}

/** Copies on their way to the file: few writes, and never all of a run's in memory. */
class Copies {
  private readonly file: CopyFile;
  private readonly held = new ByteSink(2 * COPIES_BYTES);

  constructor(file: CopyFile) {
    this.file = file;
  }

  /** Where the next one will stand. */
  get offset(): number {
    return this.file.offset + this.held.length;
  }

  add(piece: Uint8Array): void {
    this.held.raw(piece);
    if (this.held.length >= COPIES_BYTES) this.flush();
  }

  flush(): void {
    this.file.append(this.held.bytes);
    this.held.clear();
  }
}

/** Positions in `names`, by the bytes of what stands there. */
function sortedByName(names: readonly string[]): number[] {
  const positions = names.map((_, position) => position);
  const nameAt = (position: number): string => present(names[position], 'a position is of a name');
  // UTF-16 units sort like UTF-8 bytes, unless there are surrogates.
  if (!names.some((name) => /[\ud800-\udfff]/.test(name))) {
    positions.sort((left, right) => (nameAt(left) < nameAt(right) ? -1 : 1));
  } else {
    const bytes = names.map((name) => Buffer.from(name));
    positions.sort((left, right) => Buffer.compare(bytes[left] ?? Buffer.alloc(0), bytes[right] ?? Buffer.alloc(0)));
  }
  assert(positions.length === names.length, 'sorting keeps all');
  return positions;
}
