import { LIMITS } from '../base/index.js';
import type { Event, StoredBatch } from '../event/index.js';
import { inTurns, type Turns } from '../stream/index.js';
import { type BodyReader, eventIn, type GatheredEvents, openingStoredBatch, type Selection } from '../wire/index.js';
import type { ReadPart, ReadSink, ReadStarted } from './read-parts.js';

/** So many events are decoded between two looks at the time. */
const EVENTS_AT_ONCE = 16;

/** What a plain event takes in a message beside its texts and data, about: its id most of all. */
const EVENT_OVERHEAD_BYTES = 64;

/**
 * The reader takes nothing for now: the sender gives up the records that it
 * holds, awaits `taken`, and goes on behind what has been added.
 */
export class ReaderStalled {
  readonly taken: Promise<void>;

  constructor(taken: Promise<void>) {
    this.taken = taken;
    // The sender may have another reason to end before it looks at this one.
    taken.catch(() => undefined);
  }
}

/**
 * Collects what a reader gets into messages of a fair size. A batch that is
 * wanted whole goes out as it is stored, where the reader takes it so; what a
 * filter or a limit cuts out of one goes out as plain events. While the reader's
 * pace is waited for, what adds rejects with {@link ReaderStalled}.
 */
export class ReadChunks {
  private readonly packed: boolean;
  private readonly backwards: boolean;
  private readonly sink: ReadSink;
  private readonly turns: Turns;
  private readonly onSent: (events: number, bytes: number) => void;
  private remaining: number;
  private batches: Uint8Array[] = [];
  private packs: Uint8Array[] = [];
  private events: Event[] = [];
  /** Data of what was collected, and what it takes in a message. */
  private bytes = 0;
  private messageBytes = 0;
  private count = 0;
  private last: number | undefined;

  constructor(options: {
    packed: boolean;
    /** Batches come newest first, and so are their events to go out. */
    backwards: boolean;
    /** Events to send at most. */
    limit: number;
    sink: ReadSink;
    turns: Turns;
    onSent: (events: number, bytes: number) => void;
  }) {
    this.packed = options.packed;
    this.backwards = options.backwards;
    this.remaining = options.limit;
    this.sink = options.sink;
    this.turns = options.turns;
    this.onSent = options.onSent;
  }

  get isDone(): boolean {
    return this.remaining === 0;
  }

  /** Counter of the event that was added last; undefined before the first. */
  get lastCounter(): number | undefined {
    return this.last;
  }

  async sendStarted(started: ReadStarted): Promise<void> {
    await this.sink.send(started);
  }

  async sendCaughtUp(): Promise<void> {
    await this.sink.send({ kind: 'caught-up' });
  }

  /** Adds what was selected of a batch. A promise where the reader's pace must be waited for. */
  add(batch: StoredBatch, selection: Selection): Promise<void> | undefined {
    if (selection === 'none') return undefined;
    const whole = selection === 'all' && batch.header.count <= this.remaining;
    return whole && this.packed ? this.addBatch(batch) : this.addEvents(batch, selection);
  }

  private addBatch(batch: StoredBatch): Promise<void> | undefined {
    const before = this.batches.length === 0 ? this.deliver() : undefined;
    if (before !== undefined) return before.then(() => this.addBatch(batch));
    this.batches.push(batch.bytes);
    const { baseCounter, count } = batch.header;
    this.added(count, batch.bytes.byteLength, this.backwards ? baseCounter : baseCounter + count - 1);
    return this.messageBytes >= LIMITS.readResponseBytes ? this.deliver() : undefined;
  }

  /** Adds a pack of which every event is wanted; as it is, where the reader takes it so. */
  async addPack(pack: GatheredEvents): Promise<void> {
    if (!this.packed || pack.count > this.remaining) return this.addSingly(pack.events());
    if (this.packs.length === 0) await this.deliver();
    this.packs.push(pack.bytes);
    this.added(pack.count, pack.bytes.byteLength, pack.lastCounter);
    if (this.messageBytes >= LIMITS.readResponseBytes) await this.deliver();
  }

  /**
   * Adds events that are all wanted, in the order in which they go out; an undefined one was passed over, which takes
   * time, too.
   */
  async addSingly(events: Iterable<Event | undefined>): Promise<void> {
    if (this.events.length === 0) await this.deliver();
    let taken = 0;
    for (const event of events) {
      if (this.isDone) return;
      if (event !== undefined) {
        this.events.push(event);
        this.added(1, sizeOf(event), event.id.counter, EVENT_OVERHEAD_BYTES);
      }
      if (this.messageBytes >= LIMITS.readResponseBytes) await this.deliver();
      if (++taken % EVENTS_AT_ONCE === 0 && this.turns.isDue) await this.turns.next();
    }
  }

  private async addEvents(batch: StoredBatch, selection: Selection): Promise<void> {
    const reader = await inTurns(this.turns, openingStoredBatch(batch));
    await this.addSingly(eventsAt(batch, reader, this.nextOf(selection, batch.header.count)));
  }

  /** The positions of a selection that are still to be sent, in the order in which they go out. */
  private nextOf(selection: Selection, count: number): readonly number[] {
    if (selection === 'none') return [];
    const positions = selection === 'all' ? Array.from({ length: count }, (_, position) => position) : selection;
    return (this.backwards ? positions.toReversed() : positions).slice(0, this.remaining);
  }

  private added(events: number, bytes: number, last: number, overheadBytes = 0): void {
    this.remaining -= events;
    this.count += events;
    this.bytes += bytes;
    this.messageBytes += bytes + overheadBytes;
    this.last = last;
  }

  /** Sends what has been collected; a promise where the reader's pace must be waited for. */
  flush(): Promise<void> | undefined {
    if (this.count === 0) return undefined;
    const part = this.part();
    this.onSent(this.count, this.bytes);
    this.batches = [];
    this.packs = [];
    this.events = [];
    this.bytes = 0;
    this.messageBytes = 0;
    this.count = 0;
    return this.sink.send(part);
  }

  /** {@link flush}, while there are records that are held for this reader. */
  private deliver(): Promise<void> | undefined {
    if (this.count > 0 && this.turns.isDue) return this.turns.next().then(() => this.deliverNow());
    return this.deliverNow();
  }

  private deliverNow(): Promise<void> | undefined {
    const taken = this.flush();
    return taken && whileNotStalled(taken);
  }

  /** A part has one kind of content. */
  private part(): ReadPart {
    if (this.batches.length > 0) return { kind: 'batches', batches: this.batches };
    if (this.packs.length > 0) return { kind: 'gathered', gathered: this.packs };
    return { kind: 'events', events: this.events };
  }
}

function* eventsAt(batch: StoredBatch, reader: BodyReader, positions: readonly number[]): Generator<Event, void, void> {
  for (const position of positions) yield eventIn(batch, reader, position);
}

async function whileNotStalled(taken: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ReaderStalled(taken)), LIMITS.readStallMs);
  });
  try {
    await Promise.race([taken, stalled]);
  } finally {
    clearTimeout(timer);
  }
}

/** A plain event's texts and data. */
function sizeOf({ data, namespace, type = '', contentType = '', metadata }: Event): number {
  let bytes = data.byteLength + namespace.length + type.length + contentType.length;
  for (const [key, value] of metadata ?? []) bytes += key.length + value.length;
  return bytes;
}
