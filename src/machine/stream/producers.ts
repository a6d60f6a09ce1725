import {
  asciiBytes,
  asciiText,
  ByteSink,
  ByteSource,
  LIMITS,
  type LogIndex,
  logIndex,
  present,
} from '../../base/index.js';
import type { BatchHeader } from '../../event/index.js';
import { type KnownBatch, KnownBatches, NO_ROW, twiceAsLarge } from './known-batches.js';
import { ProducerRows } from './producer-rows.js';

/** What a stream remembers of a producer, beside its batches. */
export interface ProducerState {
  /** Random: chosen by the client, or for a named producer by the leader that opened it. */
  readonly id: number;
  /** Empty: it has none, and registered itself with its first batch. */
  readonly name: string;
  readonly epoch: number;
  /** The id that the last command which opened a named producer proposed; 0 for one without a name. */
  readonly openedAs: number;
  /** Log time of its last batch, or of when it was opened. */
  readonly usedMs: number;
  /** The sequence of its last batch; 0 before the first. */
  readonly sequence: number;
}

/** The payload of a `producer` record: a named producer is opened, a second time with the next epoch. */
export interface OpenProducer {
  /** The id that it gets where none of its name is known. */
  readonly id: number;
  readonly name: string;
}

/** What a leader decides by: see ProducerAdmission. */
export interface KnownProducers {
  get(id: number): ProducerState | undefined;
  /** The batch of this sequence, if it is among the producer's last ones. */
  batch(id: number, sequence: number): KnownBatch | undefined;
  /** No producer without a name that was forgotten has a batch behind this record. */
  readonly forgottenIndex: LogIndex;
}

/** The epoch of producers without a name. */
export const UNNAMED_EPOCH = 1;
/** That of a named producer that was opened for the first time: its stamp never looks like a new producer's. */
export const FIRST_NAMED_EPOCH = 2;

/** The first batch of a producer without a name, by which the stream gets to know it. */
export function isFirstOfUnnamed({ epoch, sequence }: Pick<BatchHeader, 'epoch' | 'sequence'>): boolean {
  return epoch === UNNAMED_EPOCH && sequence === 1;
}

// The columns of a row.
const ID = 0;
const EPOCH = 1;
const USED_MS = 2;
const SEQUENCE = 3;
/** The row of its last batch, and how many are remembered. */
const LAST_BATCH = 4;
const BATCHES = 5;
/** The rows of those that were used just before and after it. A free row is linked by NEWER. */
const OLDER = 6;
const NEWER = 7;
const COLUMNS = 8;

const FIRST_CAPACITY = 16;

/** So many are encoded in one step: see StateMachine.encodeInSteps. */
const ROWS_PER_STEP = 4096;

/** Producers in the order of their last use. */
interface UseOrder {
  oldest: number;
  newest: number;
}

/** What only a producer that has a name needs. */
interface Named {
  readonly row: number;
  readonly openedAs: number;
}

/**
 * The producers that a stream remembers, and the last batches of each, so that a batch that is sent again gets the ids
 * of its first attempt. All of it comes from the log: every node that has applied as many records knows the same.
 *
 * Producers are rows of numbers (64 bytes, and as much for a batch), because there may be tens of thousands, of which
 * most have one batch and never come again.
 */
export class ProducerTable implements KnownProducers {
  private cells = new Float64Array(FIRST_CAPACITY * COLUMNS);
  private usedRows = 0;
  private firstFree = NO_ROW;
  private readonly rows = new ProducerRows();
  private batches = new KnownBatches();
  private readonly named = new Map<string, Named>();
  private readonly names = new Map<number, string>();
  private readonly order: { readonly named: UseOrder; readonly unnamed: UseOrder } = {
    named: { oldest: NO_ROW, newest: NO_ROW },
    unnamed: { oldest: NO_ROW, newest: NO_ROW },
  };
  private lastForgotten = logIndex(0);

  get size(): number {
    return this.rows.size;
  }

  get forgottenIndex(): LogIndex {
    return this.lastForgotten;
  }

  get(id: number): ProducerState | undefined {
    const row = this.rows.get(id);
    return row === NO_ROW ? undefined : this.stateOf(row);
  }

  withName(name: string): ProducerState | undefined {
    const named = this.named.get(name);
    return named === undefined ? undefined : this.stateOf(named.row);
  }

  batch(id: number, sequence: number): KnownBatch | undefined {
    const row = this.rows.get(id);
    if (row === NO_ROW) return undefined;
    const steps = this.cell(row, BATCHES) - 1 - (this.cell(row, SEQUENCE) - sequence);
    if (steps < 0 || sequence > this.cell(row, SEQUENCE)) return undefined;
    return this.batches.fromOldest(this.cell(row, LAST_BATCH), steps);
  }

  /** Applies a `producer` record. */
  open({ id, name }: OpenProducer, timeMs: number): void {
    const before = this.named.get(name);
    if (before !== undefined) {
      this.setCell(before.row, EPOCH, this.cell(before.row, EPOCH) + 1);
      this.named.set(name, { row: before.row, openedAs: id });
      this.use(before.row, timeMs);
    } else if (!this.rows.has(id)) {
      this.makeRoom();
      this.setName(this.add(id, FIRST_NAMED_EPOCH, timeMs), name, id);
    }
  }

  /**
   * Applies a batch. One whose producer was forgotten between the leader's decision and this changes nothing: the
   * producer stays forgotten, and is refused from now on.
   */
  appended(header: BatchHeader, place: Pick<KnownBatch, 'index' | 'term'>, timeMs: number): void {
    const { producer, epoch, sequence, count, baseCounter: firstCounter, actor, bodyLength, bodyChecksum } = header;
    const known = this.rows.get(producer);
    const row = known === NO_ROW ? this.register(header, timeMs) : known;
    if (row === NO_ROW) return;
    if (this.cell(row, EPOCH) !== epoch || this.cell(row, SEQUENCE) + 1 !== sequence) return;
    const { index, term } = place;
    this.remember(row, { count, firstCounter, actor, index, term, bodyLength, bodyChecksum });
    this.setCell(row, SEQUENCE, sequence);
    this.use(row, timeMs);
  }

  /** Forgets the producers that were silent for too long as of `timeMs`, log time. */
  expire(timeMs: number): void {
    for (const order of [this.order.named, this.order.unnamed]) {
      while (order.oldest !== NO_ROW && timeMs - this.cell(order.oldest, USED_MS) > LIMITS.producerIdleMs)
        this.forget(order.oldest);
    }
  }

  /** Nothing where there is nothing to remember. Equal tables have equal bytes. */
  encode(): Uint8Array {
    const sink = this.sinkForAll();
    const steps = this.encodeInto(sink);
    while (steps.next().done !== true);
    return sink.bytes;
  }

  /** See StateMachine.encodeInSteps. What takes several steps is copied before: that is a fraction of the work. */
  *encodeInSteps(): Generator<void, Uint8Array> {
    const sink = this.sinkForAll();
    const isLarge = this.usedRows + this.batches.usedRows > ROWS_PER_STEP;
    yield* (isLarge ? this.copyToEncode() : this).encodeInto(sink);
    return sink.bytes;
  }

  private sinkForAll(): ByteSink {
    return new ByteSink(64 + 16 * (this.usedRows + this.batches.usedRows));
  }

  private *encodeInto(sink: ByteSink): Generator<void, void> {
    const { named, unnamed } = this.order;
    if (named.oldest === NO_ROW && unnamed.oldest === NO_ROW && this.lastForgotten === 0) return;
    sink.varint(this.lastForgotten);
    sink.varint(this.named.size);
    for (const { oldest } of [named, unnamed]) {
      for (let row = oldest; row !== NO_ROW; ) {
        row = this.encodeSome(row, sink);
        if (row !== NO_ROW) yield;
      }
    }
  }

  /** One step of those with a name, or of those without, from a row on. Returns the row where the next one begins. */
  private encodeSome(first: number, sink: ByteSink): number {
    const areNamed = this.names.has(first);
    let row = first;
    for (let rows = 0; row !== NO_ROW && rows < ROWS_PER_STEP; row = this.cell(row, NEWER)) {
      if (areNamed) this.encodeName(row, sink);
      // Tens of thousands are used within seconds of each other: their times are written as steps.
      const older = this.cell(row, OLDER);
      this.encodeRow(row, sink, areNamed || older === NO_ROW ? 0 : this.cell(older, USED_MS));
      rows += 1 + this.cell(row, BATCHES);
    }
    return row;
  }

  /** What is encoded of it, and nothing by which a producer is found. */
  private copyToEncode(): ProducerTable {
    const copy = new ProducerTable();
    copy.cells = this.cells.slice(0, this.usedRows * COLUMNS);
    copy.batches = this.batches.copyToEncode();
    for (const [name, named] of this.named) copy.named.set(name, named);
    for (const [row, name] of this.names) copy.names.set(row, name);
    Object.assign(copy.order.named, this.order.named);
    Object.assign(copy.order.unnamed, this.order.unnamed);
    copy.lastForgotten = this.lastForgotten;
    return copy;
  }

  static decode(bytes: Uint8Array): ProducerTable {
    const table = new ProducerTable();
    if (bytes.byteLength === 0) return table;
    const source = new ByteSource(bytes);
    table.lastForgotten = logIndex(source.varint());
    for (let left = source.varint(); left > 0; left--) {
      const [name, openedAs] = [asciiText(source.prefixed()), source.varint()];
      table.setName(table.decodeRow(source, source.varint(), 0), name, openedAs);
    }
    for (let beforeMs = 0; !source.atEnd; ) {
      const row = table.decodeRow(source, UNNAMED_EPOCH, beforeMs);
      beforeMs = table.cell(row, USED_MS);
    }
    return table;
  }

  private encodeName(row: number, sink: ByteSink): void {
    const { name, openedAs } = this.stateOf(row);
    sink.prefixed(asciiBytes(name));
    sink.varint(openedAs);
    sink.varint(this.cell(row, EPOCH));
  }

  private encodeRow(row: number, sink: ByteSink, beforeMs: number): void {
    sink.varint(this.cell(row, ID));
    sink.varint(this.cell(row, USED_MS) - beforeMs);
    sink.varint(this.cell(row, SEQUENCE));
    sink.varint(this.cell(row, BATCHES));
    if (this.cell(row, BATCHES) > 0) this.batches.encode(this.cell(row, LAST_BATCH), sink);
  }

  private decodeRow(source: ByteSource, epoch: number, beforeMs: number): number {
    const row = this.add(source.varint(), epoch, beforeMs + source.varint());
    this.setCell(row, SEQUENCE, source.varint());
    const batches = source.varint();
    let last = NO_ROW;
    for (let read = 0; read < batches; read++) last = this.batches.decode(last, source);
    this.setCell(row, LAST_BATCH, last);
    this.setCell(row, BATCHES, batches);
    return row;
  }

  private register(header: BatchHeader, timeMs: number): number {
    if (!isFirstOfUnnamed(header)) return NO_ROW;
    this.makeRoom();
    return this.add(header.producer, UNNAMED_EPOCH, timeMs);
  }

  private remember(row: number, batch: KnownBatch): void {
    const [last, known] = [this.cell(row, LAST_BATCH), this.cell(row, BATCHES)];
    const isFull = known === LIMITS.producerBatches;
    this.setCell(row, LAST_BATCH, isFull ? this.batches.replaceOldest(last, batch) : this.batches.append(last, batch));
    if (!isFull) this.setCell(row, BATCHES, known + 1);
  }

  /** Programs that come and go leave many without a name; a program that gives a name means to come back. */
  private makeRoom(): void {
    if (this.size < LIMITS.producers) return;
    const { named, unnamed } = this.order;
    this.forget(unnamed.oldest === NO_ROW ? named.oldest : unnamed.oldest);
  }

  private forget(row: number): void {
    const name = this.names.get(row);
    const last = this.cell(row, LAST_BATCH);
    if (name === undefined) this.lastForgotten = laterOf(this.lastForgotten, this.batches.indexOf(last));
    else this.named.delete(name);
    this.leave(row, this.orderOf(row));
    this.names.delete(row);
    this.rows.delete(this.cell(row, ID));
    if (last !== NO_ROW) this.batches.release(last);
    this.setCell(row, NEWER, this.firstFree);
    this.firstFree = row;
  }

  /** One that has no name, and no batch yet. */
  private add(id: number, epoch: number, usedMs: number): number {
    const row = this.allocate();
    this.rows.add(id, row);
    this.setCell(row, ID, id);
    this.setCell(row, EPOCH, epoch);
    this.setCell(row, USED_MS, usedMs);
    this.setCell(row, SEQUENCE, 0);
    this.setCell(row, LAST_BATCH, NO_ROW);
    this.setCell(row, BATCHES, 0);
    this.join(row, this.order.unnamed);
    return row;
  }

  private setName(row: number, name: string, openedAs: number): void {
    this.leave(row, this.order.unnamed);
    this.named.set(name, { row, openedAs });
    this.names.set(row, name);
    this.join(row, this.order.named);
  }

  /** Makes it the one that was used last. */
  private use(row: number, timeMs: number): void {
    const order = this.orderOf(row);
    this.setCell(row, USED_MS, timeMs);
    this.leave(row, order);
    this.join(row, order);
  }

  private join(row: number, order: UseOrder): void {
    this.setCell(row, OLDER, order.newest);
    this.setCell(row, NEWER, NO_ROW);
    if (order.newest === NO_ROW) order.oldest = row;
    else this.setCell(order.newest, NEWER, row);
    order.newest = row;
  }

  private leave(row: number, order: UseOrder): void {
    const [older, newer] = [this.cell(row, OLDER), this.cell(row, NEWER)];
    if (older === NO_ROW) order.oldest = newer;
    else this.setCell(older, NEWER, newer);
    if (newer === NO_ROW) order.newest = older;
    else this.setCell(newer, OLDER, older);
  }

  private orderOf(row: number): UseOrder {
    return this.names.size > 0 && this.names.has(row) ? this.order.named : this.order.unnamed;
  }

  private stateOf(row: number): ProducerState {
    const name = this.names.get(row) ?? '';
    const openedAs = name === '' ? 0 : present(this.named.get(name), 'a name has its producer').openedAs;
    const [id, epoch] = [this.cell(row, ID), this.cell(row, EPOCH)];
    return { id, name, epoch, openedAs, usedMs: this.cell(row, USED_MS), sequence: this.cell(row, SEQUENCE) };
  }

  private allocate(): number {
    const free = this.firstFree;
    if (free !== NO_ROW) {
      this.firstFree = this.cell(free, NEWER);
      return free;
    }
    if ((this.usedRows + 1) * COLUMNS > this.cells.length) this.cells = twiceAsLarge(this.cells);
    return this.usedRows++;
  }

  private cell(row: number, column: number): number {
    return this.cells[row * COLUMNS + column] ?? Number.NaN;
  }

  private setCell(row: number, column: number, value: number): void {
    this.cells[row * COLUMNS + column] = value;
  }
}

function laterOf(one: LogIndex, other: LogIndex): LogIndex {
  return one > other ? one : other;
}
