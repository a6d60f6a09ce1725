import {
  type ActorId,
  actorId,
  type ByteSink,
  type ByteSource,
  type Counter,
  counter,
  type LogIndex,
  logIndex,
  type Term,
  term as termOf,
} from '../../base/index.js';

/** A batch that a producer has in the stream. */
export interface KnownBatch {
  /** Number of events. */
  readonly count: number;
  readonly firstCounter: Counter;
  /** The node that took it in. */
  readonly actor: ActorId;
  readonly index: LogIndex;
  readonly term: Term;
  /** Length and CRC-32 of its encoded body: with the count, what tells it from another batch. */
  readonly bodyLength: number;
  readonly bodyChecksum: number;
}

/** Stands for the row of a producer that has no batch. */
export const NO_ROW = -1;

// The columns of a row.
const FIRST_COUNTER = 0;
const INDEX = 1;
const TERM = 2;
const COUNT = 3;
const ACTOR = 4;
const BODY_LENGTH = 5;
const BODY_CHECKSUM = 6;
/** The row of the batch behind this one; behind a producer's last batch comes its oldest. */
const NEXT = 7;
const COLUMNS = 8;

/** The number of rows that are allocated at first. */
const FIRST_CAPACITY = 16;

/**
 * The remembered batches of all producers of a stream, as rows of numbers: 64 bytes each, and nothing for the garbage
 * collector to go through. The batches of one producer form a ring, and the producer knows the row of its last batch.
 */
export class KnownBatches {
  private cells = new Float64Array(FIRST_CAPACITY * COLUMNS);
  private used = 0;
  /** The first of the released rows, which are linked by their NEXT. */
  private firstFree = NO_ROW;

  /** Rows that have been used, those that were released since among them. */
  get usedRows(): number {
    return this.used;
  }

  /** Adds a batch behind `last`, the last one of its producer or NO_ROW, and returns the batch's row. */
  append(last: number, batch: KnownBatch): number {
    const row = this.addRow(last);
    this.write(row, batch);
    return row;
  }

  private addRow(last: number): number {
    const row = this.allocate();
    this.set(row, NEXT, last === NO_ROW ? row : this.get(last, NEXT));
    if (last !== NO_ROW) this.set(last, NEXT, row);
    return row;
  }

  /** The same, in place of the producer's oldest batch. */
  replaceOldest(last: number, batch: KnownBatch): number {
    const oldest = this.get(last, NEXT);
    this.write(oldest, batch);
    return oldest;
  }

  /** The batch `steps` behind the oldest one of the producer that has `last` as its last batch. */
  fromOldest(last: number, steps: number): KnownBatch {
    let row = this.get(last, NEXT);
    for (let step = 0; step < steps; step++) row = this.get(row, NEXT);
    return {
      count: this.get(row, COUNT),
      firstCounter: counter(this.get(row, FIRST_COUNTER)),
      actor: actorId(this.get(row, ACTOR)),
      index: logIndex(this.get(row, INDEX)),
      term: termOf(this.get(row, TERM)),
      bodyLength: this.get(row, BODY_LENGTH),
      bodyChecksum: this.get(row, BODY_CHECKSUM),
    };
  }

  /** The record in which a batch stands. */
  indexOf(row: number): LogIndex {
    return logIndex(this.get(row, INDEX));
  }

  /** Forgets all batches of the producer that has `last` as its last batch. */
  release(last: number): void {
    const oldest = this.get(last, NEXT);
    this.set(last, NEXT, this.firstFree);
    this.firstFree = oldest;
  }

  /** Writes the producer's batches, the oldest first. */
  encode(last: number, sink: ByteSink): void {
    let row = last;
    do {
      row = this.get(row, NEXT);
      for (let column = FIRST_COUNTER; column <= BODY_LENGTH; column++) sink.varint(this.get(row, column));
      sink.uint32(this.get(row, BODY_CHECKSUM));
    } while (row !== last);
  }

  /** The same batches, to be encoded while others come. */
  copyToEncode(): KnownBatches {
    const copy = new KnownBatches();
    copy.cells = this.cells.slice(0, this.used * COLUMNS);
    return copy;
  }

  /** Reads one of them, and adds it behind `last`. */
  decode(last: number, source: ByteSource): number {
    const row = this.addRow(last);
    for (let column = FIRST_COUNTER; column <= BODY_LENGTH; column++) this.set(row, column, source.varint());
    this.set(row, BODY_CHECKSUM, source.uint32());
    return row;
  }

  private write(row: number, batch: KnownBatch): void {
    this.set(row, FIRST_COUNTER, batch.firstCounter);
    this.set(row, INDEX, batch.index);
    this.set(row, TERM, batch.term);
    this.set(row, COUNT, batch.count);
    this.set(row, ACTOR, batch.actor);
    this.set(row, BODY_LENGTH, batch.bodyLength);
    this.set(row, BODY_CHECKSUM, batch.bodyChecksum);
  }

  private allocate(): number {
    const free = this.firstFree;
    if (free !== NO_ROW) {
      this.firstFree = this.get(free, NEXT);
      return free;
    }
    if ((this.used + 1) * COLUMNS > this.cells.length) this.cells = twiceAsLarge(this.cells);
    return this.used++;
  }

  private get(row: number, column: number): number {
    return this.cells[row * COLUMNS + column] ?? Number.NaN;
  }

  private set(row: number, column: number, value: number): void {
    this.cells[row * COLUMNS + column] = value;
  }
}

/** The same numbers in an array of twice the length. */
export function twiceAsLarge(cells: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(cells.length * 2);
  larger.set(cells);
  return larger;
}
