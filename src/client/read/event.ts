import { actorId, counter } from '../../base/index.js';
import { type EventId, formatEventId, type Event as PlainEvent } from '../../event/index.js';
import { type EventJson, eventToJson } from '../../wire/index.js';

/** Where the parts of an event are read from when they are asked for. Positions count from 0. */
export interface EventSource {
  namespaceOf(position: number): string;
  dataOf(position: number): Uint8Array;
  parentOf(position: number): EventId | undefined;
  typeOf(position: number): string | undefined;
  contentTypeOf(position: number): string | undefined;
  metadataOf(position: number): ReadonlyMap<string, string> | undefined;
}

const NO_METADATA: ReadonlyMap<string, string> = new Map();
const utf8 = new TextDecoder();

/**
 * An event as consumers see it. Its parts are decoded when they are first
 * looked at, so that what a program does not look at costs nothing.
 */
export class Event {
  /** 1, 2, 3 … in the stream's order. */
  readonly counter: number;
  /** The node that took the event in from its producer. */
  readonly actor: number;
  /** UTC milliseconds, set by the stream's leader; not monotonic. */
  readonly timestampMs: number;
  private readonly source: EventSource;
  private readonly position: number;

  constructor(source: EventSource, position: number, eventCounter: number, actor: number, timestampMs: number) {
    this.source = source;
    this.position = position;
    this.counter = eventCounter;
    this.actor = actor;
    this.timestampMs = timestampMs;
  }

  /** 25 digits; a position to resume a read after. */
  get id(): string {
    return formatEventId({ counter: counter(this.counter), actor: actorId(this.actor) });
  }

  /** Id of the event that caused this one. */
  get parentId(): string | undefined {
    const parent = this.source.parentOf(this.position);
    return parent === undefined ? undefined : formatEventId(parent);
  }

  get namespace(): string {
    return this.source.namespaceOf(this.position);
  }

  get timestamp(): Date {
    return new Date(this.timestampMs);
  }

  /** A view of the message that the event came in: copy it to keep it beyond the event's use. May be empty. */
  get data(): Uint8Array {
    return this.source.dataOf(this.position);
  }

  get type(): string | undefined {
    return this.source.typeOf(this.position);
  }

  get contentType(): string | undefined {
    return this.source.contentTypeOf(this.position);
  }

  get metadata(): ReadonlyMap<string, string> {
    return this.source.metadataOf(this.position) ?? NO_METADATA;
  }

  /** Data as text; bytes that are not UTF-8 become U+FFFD. */
  text(): string {
    return utf8.decode(this.data);
  }

  /** Data parsed as JSON; a SyntaxError where it is none. */
  json(): unknown {
    return JSON.parse(this.text());
  }

  /** The event's JSON form: id, parentId, namespace, timestamp, type, contentType, metadata, data or dataBase64. */
  toJSON(): EventJson {
    const { source, position } = this;
    return eventToJson({
      id: { counter: counter(this.counter), actor: actorId(this.actor) },
      parentId: source.parentOf(position),
      namespace: this.namespace,
      timestampMs: this.timestampMs,
      data: this.data,
      type: this.type,
      contentType: this.contentType,
      metadata: source.metadataOf(position),
    });
  }

  /** So that `console.log(event)` shows the event and not where its parts are kept. */
  [Symbol.for('nodejs.util.inspect.custom')](): EventJson {
    return this.toJSON();
  }
}

/** Events that came one by one instead of in an encoded batch. */
export class PlainEvents implements EventSource {
  private readonly events: readonly PlainEvent[];

  constructor(events: readonly PlainEvent[]) {
    this.events = events;
  }

  toEvents(): Event[] {
    return this.events.map(
      (event, position) => new Event(this, position, event.id.counter, event.id.actor, event.timestampMs),
    );
  }

  namespaceOf(position: number): string {
    return this.events[position]?.namespace ?? '';
  }

  dataOf(position: number): Uint8Array {
    return this.events[position]?.data ?? new Uint8Array(0);
  }

  parentOf(position: number): EventId | undefined {
    return this.events[position]?.parentId;
  }

  typeOf(position: number): string | undefined {
    return this.events[position]?.type;
  }

  contentTypeOf(position: number): string | undefined {
    return this.events[position]?.contentType;
  }

  metadataOf(position: number): ReadonlyMap<string, string> | undefined {
    return this.events[position]?.metadata;
  }
}
