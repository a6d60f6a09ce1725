import { crc32 } from 'node:zlib';
import { FlotillaError } from '../../base/index.js';
import { parseEventId, readBatch } from '../../event/index.js';
import { eventFromProto, GatheredEvents, openStoredBatch, proto } from '../../wire/index.js';
import { callBack } from '../connection/call-back.js';
import { Event, PlainEvents } from './event.js';
import type { CheckedReadOptions } from './read-options.js';

/**
 * How far a read has come. It survives the connections: each further one asks
 * for what comes after the last event that was handed out, and whatever a node
 * sends beyond what was asked for is left out, so nothing comes twice.
 */
export class ReadPosition {
  private readonly options: CheckedReadOptions;
  private readonly backwards: boolean;
  /** Counter of the last event that was handed out; before that, of the one to begin after. */
  private lastCounter: number | undefined;
  /** Its id; empty before it. */
  private lastId = '';
  private remaining: number;
  /** Id of the last event when the read began. */
  private endId = '';
  /** Its counter; a read that is no tail ends there, also where it had to go on elsewhere. */
  private endCounter: number | undefined;
  private incarnation = '';
  private endReached = false;
  /** Backwards: the read ends above this counter. */
  private readonly floor: number;
  /** It is not kept any more, so that a node can't be asked for it. */
  private isFloorRemoved = false;

  constructor(options: CheckedReadOptions) {
    this.options = options;
    this.backwards = options.backwards === true;
    this.lastCounter = this.backwards ? undefined : options.startAfterId?.counter;
    this.floor = floorOf(options);
    this.remaining = options.limit === 0 ? Number.POSITIVE_INFINITY : options.limit;
  }

  get hasStarted(): boolean {
    return this.incarnation !== '';
  }

  get complete(): boolean {
    return this.endReached || this.remaining === 0;
  }

  request(stream: string): proto.ReadRequest {
    const { glob = '', tail = false, consistency, sinceMs, untilMs } = this.options;
    return {
      stream,
      glob,
      ...this.bounds(),
      sinceMs,
      untilMs,
      backwards: this.backwards,
      limit: this.remaining === Number.POSITIVE_INFINITY ? 0 : this.remaining,
      tail,
      consistency: CONSISTENCIES[consistency ?? 'default'],
      packed: true,
      incarnation: this.incarnation,
    };
  }

  /** Those that were asked for, moved to behind what was handed out. */
  private bounds(): Pick<proto.ReadRequest, 'startAfter' | 'startAt' | 'endBefore' | 'endAt' | 'last' | 'fromNow'> {
    const { startAfter = '', startAt = '', endBefore = '', endAt = '', last, fromNow = false } = this.options;
    const asked = { startAfter, startAt, endBefore, endAt, last, fromNow };
    if (this.isFloorRemoved) Object.assign(asked, { startAfter: '', startAt: '' });
    if (this.lastId !== '')
      return this.backwards
        ? { ...asked, endBefore: this.lastId, endAt: '' }
        : { ...asked, startAfter: this.lastId, startAt: '', last: 0, fromNow: false };
    // What is counted from the end is counted from the one that was told of, also at a node that knows of more by now.
    const fromTheEnd = this.backwards || last > 0;
    if (fromTheEnd && this.endCounter !== undefined && this.endId !== '' && endBefore === '' && endAt === '')
      return { ...asked, endAt: this.endId };
    return asked;
  }

  /** The node has let the read in. */
  started(started: proto.ReadStarted, address: string): void {
    const end = started.endId === '' ? 0 : parseEventId(started.endId, 'started.end_id').counter;
    if (!this.hasStarted) {
      this.incarnation = started.incarnation;
      this.endId = started.endId;
      if (this.options.tail !== true) this.endCounter = end;
      if (this.options.fromNow === true && end > (this.lastCounter ?? 0)) {
        this.lastCounter = end;
        this.lastId = started.endId;
      }
      const { confirmed, endId, incarnation } = started;
      callBack(() => this.options.onStarted?.({ confirmed, endId: endId || undefined, incarnation }));
    } else if (this.endCounter !== undefined && end < this.endCounter) {
      throw new FlotillaError(
        'NOT_READY',
        `${address} is behind: it knows of ${end} events, and the read goes to ${this.endCounter}`,
      );
    }
  }

  /**
   * The node keeps what it was asked for no more. Backwards that is no hole: what
   * is below the begin is not there any more. False where it is the reader's to know.
   */
  removed(): boolean {
    if (!this.backwards || !this.hasStarted) return false;
    // Where the read was to end is gone, or else all that it had still to give.
    if (this.floor > 0 && !this.isFloorRemoved) this.isFloorRemoved = true;
    else this.endReached = true;
    return true;
  }

  /** The node has ended the read by itself. */
  ended(): void {
    // The node's own end is at least ours. A tail has none: it was broken off politely.
    if (this.options.tail !== true && this.hasStarted) this.endReached = true;
  }

  /** The events of a response that are to be handed out. */
  take(content: ReadContent): Event[] {
    const events = eventsOf(content, this.backwards);
    const wanted = this.isWholeWanted(events)
      ? events
      : events.filter((event) => this.isWanted(event)).slice(0, this.remaining);
    if (!this.backwards && (events.at(-1)?.counter ?? 0) >= this.end) this.endReached = true;
    if (this.backwards && (events.at(-1)?.counter ?? Number.POSITIVE_INFINITY) <= this.floor) this.endReached = true;
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

  /** They are in the order of the read: where the first and the last are wanted, all are. */
  private isWholeWanted(events: readonly Event[]): boolean {
    const [first] = events;
    const last = events.at(-1);
    if (first === undefined || last === undefined) return true;
    return this.isWanted(first) && this.isWanted(last) && events.length <= this.remaining;
  }

  private isWanted({ counter }: Event): boolean {
    if (counter > this.end || (this.backwards && counter <= this.floor)) return false;
    if (this.lastCounter === undefined) return true;
    return this.backwards ? counter < this.lastCounter : counter > this.lastCounter;
  }
}

function floorOf({ backwards, startAfterId, startAt = '' }: CheckedReadOptions): number {
  if (backwards !== true) return 0;
  return startAfterId?.counter ?? (startAt === '' ? 0 : parseEventId(startAt, 'startAt').counter - 1);
}

/** What a response may hold of events. */
type ReadContent =
  | { $case: 'events'; value: proto.EventList }
  | { $case: 'batches'; value: proto.BatchList }
  | { $case: 'gathered'; value: proto.GatheredList };

function eventsOf(content: ReadContent, backwards: boolean): Event[] {
  switch (content.$case) {
    case 'events':
      return new PlainEvents(content.value.events.map(eventFromProto)).toEvents();
    case 'batches':
      return eventsOfBatches(content.value.batches, backwards);
    case 'gathered':
      return eventsOfPacks(content.value.gathered);
  }
}

function eventsOfPacks(packs: readonly Uint8Array[]): Event[] {
  const events: Event[] = [];
  for (const bytes of packs) {
    const gathered = GatheredEvents.open(bytes);
    gathered.forEach((position, eventCounter, actor, timestampMs) => {
      events.push(new Event(gathered.body, position, eventCounter, actor, timestampMs));
    });
  }
  return events;
}

const CONSISTENCIES = {
  default: proto.Consistency.UNSPECIFIED,
  confirmed: proto.Consistency.CONFIRMED,
  local: proto.Consistency.LOCAL,
} as const;

function eventsOfBatches(batches: readonly Uint8Array[], backwards: boolean): Event[] {
  const events: Event[] = [];
  for (const bytes of batches) {
    const batch = readBatch(bytes, 0);
    if (
      batch === undefined ||
      batch.bytes.byteLength !== bytes.byteLength ||
      crc32(batch.body) !== batch.header.bodyChecksum
    ) {
      throw new FlotillaError('DATA_LOSS', 'a batch arrived damaged: its header or its checksum does not fit');
    }
    const reader = openStoredBatch(batch);
    const { baseCounter, actor, timestampMs } = batch.header;
    for (let step = 0; step < reader.count; step++) {
      const position = backwards ? reader.count - 1 - step : step;
      events.push(new Event(reader, position, baseCounter + position, actor, timestampMs));
    }
  }
  return events;
}
