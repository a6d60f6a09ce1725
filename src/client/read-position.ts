import { crc32 } from 'node:zlib';
import { FlotillaError } from '../base/index.js';
import { formatEventId, parseEventId, readBatch } from '../event/index.js';
import { eventFromProto, openStoredBatch, proto } from '../wire/index.js';
import { Event, PlainEvents } from './event.js';
import type { CheckedReadOptions } from './read-options.js';

/**
 * How far a read has come. It survives the connections: each further one asks
 * for what comes after the last event that was handed out, and whatever a node
 * sends beyond what was asked for is left out, so nothing comes twice.
 */
export class ReadPosition {
  private readonly options: CheckedReadOptions;
  private lastCounter: number;
  private lastId: string;
  private remaining: number;
  /** Of the last event when the read began; a read that is no tail ends there, also where it had to go on elsewhere. */
  private endCounter: number | undefined;
  private incarnation = '';
  private endReached = false;

  constructor(options: CheckedReadOptions) {
    this.options = options;
    this.lastCounter = options.startAfterId?.counter ?? 0;
    this.lastId = options.startAfterId === undefined ? '' : formatEventId(options.startAfterId);
    this.remaining = options.limit === 0 ? Number.POSITIVE_INFINITY : options.limit;
  }

  get hasStarted(): boolean {
    return this.incarnation !== '';
  }

  get complete(): boolean {
    return this.endReached || this.remaining === 0;
  }

  request(stream: string): proto.ReadRequest {
    const { glob = '', tail = false, consistency } = this.options;
    return {
      stream,
      glob,
      startAfter: this.lastId,
      limit: this.remaining === Number.POSITIVE_INFINITY ? 0 : this.remaining,
      tail,
      consistency: CONSISTENCIES[consistency ?? 'default'],
      packed: true,
      incarnation: this.incarnation,
    };
  }

  /** The node has let the read in. */
  started(started: proto.ReadStarted, address: string): void {
    const end = started.endId === '' ? 0 : parseEventId(started.endId, 'started.end_id').counter;
    if (!this.hasStarted) {
      this.incarnation = started.incarnation;
      if (this.options.tail !== true) this.endCounter = end;
      this.options.onStarted?.({ confirmed: started.confirmed, endId: started.endId || undefined, incarnation: started.incarnation });
    } else if (this.endCounter !== undefined && end < this.endCounter) {
      throw new FlotillaError('NOT_READY', `${address} is behind: it knows of ${end} events, and the read goes to ${this.endCounter}`);
    }
  }

  /** The node has ended the read by itself. */
  ended(): void {
    // The node's own end is at least ours. A tail has none: it was broken off politely.
    if (this.options.tail !== true && this.hasStarted) this.endReached = true;
  }

  /** The events of a response that are to be handed out. */
  take(content: { $case: 'events'; value: proto.EventList } | { $case: 'batches'; value: proto.BatchList }): Event[] {
    const events =
      content.$case === 'events'
        ? new PlainEvents(content.value.events.map(eventFromProto)).toEvents()
        : eventsOfBatches(content.value.batches);
    const wanted = this.isWholeWanted(events)
      ? events
      : events.filter((event) => event.counter > this.lastCounter && event.counter <= this.end).slice(0, this.remaining);
    if ((events.at(-1)?.counter ?? 0) >= this.end) this.endReached = true;
    const last = wanted.at(-1);
    if (last === undefined) return wanted;
    this.lastCounter = last.counter;
    this.lastId = last.id;
    this.remaining -= wanted.length;
    return wanted;
  }

  private get end(): number {
    return this.endCounter ?? Number.POSITIVE_INFINITY;
  }

  private isWholeWanted(events: readonly Event[]): boolean {
    const first = events[0]?.counter ?? 0;
    const last = events.at(-1)?.counter ?? 0;
    return first > this.lastCounter && last <= this.end && events.length <= this.remaining;
  }
}

const CONSISTENCIES = {
  default: proto.Consistency.UNSPECIFIED,
  confirmed: proto.Consistency.CONFIRMED,
  local: proto.Consistency.LOCAL,
} as const;

function eventsOfBatches(batches: readonly Uint8Array[]): Event[] {
  const events: Event[] = [];
  for (const bytes of batches) {
    const batch = readBatch(bytes, 0);
    if (batch === undefined || batch.bytes.byteLength !== bytes.byteLength || crc32(batch.body) !== batch.header.bodyChecksum) {
      throw new FlotillaError('DATA_LOSS', 'a batch arrived damaged: its header or its checksum does not fit');
    }
    const reader = openStoredBatch(batch);
    const { baseCounter, actor, timestampMs } = batch.header;
    for (let position = 0; position < reader.count; position++)
      events.push(new Event(reader, position, baseCounter + position, actor, timestampMs));
  }
  return events;
}
