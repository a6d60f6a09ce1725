import { LIMITS } from '../base/index.js';
import type { Event, StoredBatch } from '../event/index.js';
import type { ServerStream } from '../rpc/index.js';
import { eventsOf, eventToProto, type GatheredEvents, type proto, type Selection } from '../wire/index.js';

/**
 * Collects what a reader gets into messages of a fair size. A batch that is
 * wanted whole goes out as it is stored, where the reader takes it so; what a
 * filter or a limit cuts out of one goes out as plain events.
 */
export class ReadChunks {
  private readonly packed: boolean;
  private readonly backwards: boolean;
  private readonly stream: ServerStream<proto.ReadResponse>;
  private readonly onSent: (events: number, bytes: number) => void;
  private remaining: number;
  private batches: Uint8Array[] = [];
  private packs: Uint8Array[] = [];
  private events: proto.Event[] = [];
  private bytes = 0;
  private count = 0;

  constructor(options: {
    packed: boolean;
    /** Batches come newest first, and so are their events to go out. */
    backwards: boolean;
    /** Events to send at most. */
    limit: number;
    stream: ServerStream<proto.ReadResponse>;
    onSent: (events: number, bytes: number) => void;
  }) {
    this.packed = options.packed;
    this.backwards = options.backwards;
    this.remaining = options.limit;
    this.stream = options.stream;
    this.onSent = options.onSent;
  }

  get isDone(): boolean {
    return this.remaining === 0;
  }

  async sendStarted(started: proto.ReadStarted): Promise<void> {
    await this.stream.send({ content: { $case: 'started', value: started } });
  }

  async sendCaughtUp(): Promise<void> {
    await this.stream.send({ content: { $case: 'caughtUp', value: {} } });
  }

  /** Adds what was selected of a batch. A promise where the reader's pace must be waited for. */
  add(batch: StoredBatch, selection: Selection): Promise<void> | undefined {
    if (selection === 'none') return undefined;
    const whole = selection === 'all' && batch.header.count <= this.remaining;
    return whole && this.packed ? this.addBatch(batch) : this.addEvents(batch, selection);
  }

  private addBatch(batch: StoredBatch): Promise<void> | undefined {
    const before = this.batches.length === 0 ? this.flush() : undefined;
    if (before !== undefined) return before.then(() => this.addBatch(batch));
    this.batches.push(batch.bytes);
    this.added(batch.header.count, batch.bytes.byteLength);
    return this.bytes >= LIMITS.readResponseBytes ? this.flush() : undefined;
  }

  /** Adds a pack of which every event is wanted; as it is, where the reader takes it so. */
  async addPack(pack: GatheredEvents): Promise<void> {
    if (!this.packed || pack.count > this.remaining) return this.addSingly(pack.toEvents());
    if (this.packs.length === 0) await this.flush();
    this.packs.push(pack.bytes);
    this.added(pack.count, pack.bytes.byteLength);
    if (this.bytes >= LIMITS.readResponseBytes) await this.flush();
  }

  /** Adds events that are all wanted, in the order in which they go out. */
  async addSingly(events: readonly Event[]): Promise<void> {
    if (this.events.length === 0) await this.flush();
    for (const event of events) {
      if (this.isDone) return;
      this.events.push(eventToProto(event));
      this.added(1, sizeOf(event));
      if (this.bytes >= LIMITS.readResponseBytes) await this.flush();
    }
  }

  private async addEvents(batch: StoredBatch, selection: Selection): Promise<void> {
    await this.addSingly(eventsOf(batch, this.nextOf(selection, batch.header.count)));
  }

  /** The first of a selection that are still to be sent, in the order in which they go out. */
  private nextOf(selection: Selection, count: number): Selection {
    if (selection === 'none' || (selection === 'all' && count <= this.remaining && !this.backwards)) return selection;
    const positions = selection === 'all' ? Array.from({ length: count }, (_, position) => position) : selection;
    return (this.backwards ? positions.toReversed() : positions).slice(0, this.remaining);
  }

  private added(events: number, bytes: number): void {
    this.remaining -= events;
    this.count += events;
    this.bytes += bytes;
  }

  /** Sends what has been collected. */
  flush(): Promise<void> | undefined {
    if (this.count === 0) return undefined;
    const content = this.content();
    this.onSent(this.count, this.bytes);
    this.batches = [];
    this.packs = [];
    this.events = [];
    this.bytes = 0;
    this.count = 0;
    return this.stream.send({ content });
  }

  /** A message has one kind of content. */
  private content(): proto.ReadResponse['content'] {
    if (this.batches.length > 0) return { $case: 'batches', value: { batches: this.batches } };
    if (this.packs.length > 0) return { $case: 'gathered', value: { gathered: this.packs } };
    return { $case: 'events', value: { events: this.events } };
  }
}

/** About what an event takes in a message: enough to keep it within bounds. */
function sizeOf({ data, namespace, type = '', contentType = '', metadata }: Event): number {
  let bytes = data.byteLength + namespace.length + type.length + contentType.length;
  for (const [key, value] of metadata ?? []) bytes += key.length + value.length;
  return bytes;
}
