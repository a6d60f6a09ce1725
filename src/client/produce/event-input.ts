import { FlotillaError, LIMITS } from '../../base/index.js';
import { checkNewEvent, type EventLimits, type NewEvent, parseEventId } from '../../event/index.js';

/** An event as a program hands it to the client. */
export interface EventInput {
  /** 1 to 1,024 bytes, no control characters; a path such as `/orders/42` by convention. */
  readonly namespace: string;
  /**
   * Text is encoded as UTF-8. None: an event without data. The client keeps the bytes, not a copy, until the receipt.
   */
  readonly data?: string | Uint8Array | undefined;
  /** Id of the event that caused this one: 25 digits, or `counter.actor`. */
  readonly parentId?: string | undefined;
  /** A name for the kind of event. */
  readonly type?: string | undefined;
  /** The MIME type of data. */
  readonly contentType?: string | undefined;
  /** Has at most 8 KiB, together with type and contentType. */
  readonly metadata?: Readonly<Record<string, string>> | ReadonlyMap<string, string> | undefined;
}

/** Columns that an event has beside its data, in bytes, about. */
const COLUMN_BYTES = 16;

const NO_DATA = new Uint8Array(0);

/**
 * Checks an event and makes it ready to be encoded. Throws INVALID_ARGUMENT or MESSAGE_TOO_LARGE, which name `field`.
 */
export function toNewEvent(input: EventInput, limits: EventLimits, field: string): NewEvent {
  checkInput(input, field);
  const event: NewEvent = {
    namespace: input.namespace,
    data: dataOf(input.data, field),
    parentId: input.parentId === undefined ? undefined : parseEventId(input.parentId, `${field}.parentId`),
    type: input.type || undefined,
    contentType: input.contentType || undefined,
    metadata: metadataOf(input.metadata),
  };
  checkTypes(event, field);
  checkNewEvent(event, limits, field);
  return event;
}

/** {@link toNewEvent} for each; an error names the event as `events[3]`. */
export function toNewEvents(inputs: readonly EventInput[], limits: EventLimits): NewEvent[] {
  if (!Array.isArray(inputs)) throw new FlotillaError('INVALID_ARGUMENT', 'events: they must be an array');
  const events: NewEvent[] = [];
  try {
    for (const input of inputs) events.push(toNewEvent(input, limits, 'event'));
  } catch {
    // The name with its number is made only for the one event that needs it: this throws the same again.
    const position = events.length;
    toNewEvent(inputs[position], limits, `events[${position}]`);
    throw new FlotillaError('INTERNAL', `events[${position}]: refused once, and not again`);
  }
  return events;
}

/** About what an event takes up in an encoded batch. */
export function encodedBytes(event: NewEvent): number {
  let bytes =
    COLUMN_BYTES +
    event.namespace.length +
    event.data.byteLength +
    (event.type?.length ?? 0) +
    (event.contentType?.length ?? 0);
  if (event.metadata === undefined) return bytes;
  for (const [key, value] of event.metadata) bytes += key.length + value.length;
  return bytes;
}

/** Throws where one call has no event, or more than a batch may have. */
export function checkCallSize(count: number, bytes: number): void {
  if (count === 0) throw new FlotillaError('INVALID_ARGUMENT', 'events: there is none; append at least one');
  if (count > LIMITS.eventsPerBatch) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `events: ${count} are more than the ${LIMITS.eventsPerBatch} that one atomic batch may have`,
    );
  }
  if (bytes > LIMITS.eventDataBytesMax + LIMITS.messageOverheadBytes / 2) {
    throw new FlotillaError(
      'MESSAGE_TOO_LARGE',
      `events: ${bytes} bytes are more than one atomic batch may have; append fewer events at once`,
    );
  }
}

/** Programs without types hand in anything: what would throw an error that is none of ours is refused first. */
function checkInput(input: unknown, field: string): void {
  if (typeof input !== 'object' || input === null)
    throw new FlotillaError('INVALID_ARGUMENT', `${field}: it must be an object`);
  const { parentId, metadata }: { readonly parentId?: unknown; readonly metadata?: unknown } = input;
  if (parentId !== undefined) checkText(parentId, field, 'parentId');
  if (metadata !== undefined && (typeof metadata !== 'object' || metadata === null))
    throw new FlotillaError('INVALID_ARGUMENT', `${field}.metadata: it must be an object or a Map`);
}

/** The same for what can be looked at afterwards. */
function checkTypes(event: NewEvent, field: string): void {
  checkText(event.namespace, field, 'namespace');
  if (event.type !== undefined) checkText(event.type, field, 'type');
  if (event.contentType !== undefined) checkText(event.contentType, field, 'contentType');
  if (event.metadata === undefined) return;
  for (const value of event.metadata.values()) {
    if (typeof value !== 'string')
      throw new FlotillaError('INVALID_ARGUMENT', `${field}.metadata: every value must be a string`);
  }
}

function checkText(value: unknown, field: string, part: string): void {
  if (typeof value !== 'string') throw new FlotillaError('INVALID_ARGUMENT', `${field}.${part}: it must be a string`);
}

function dataOf(data: unknown, field: string): Uint8Array {
  if (data === undefined) return NO_DATA;
  if (data instanceof Uint8Array) return data;
  if (typeof data !== 'string')
    throw new FlotillaError('INVALID_ARGUMENT', `${field}.data: it must be a string or a Uint8Array`);
  if (/\p{Surrogate}/u.test(data))
    throw new FlotillaError('INVALID_ARGUMENT', `${field}.data: it holds a lone surrogate, which is not Unicode text`);
  return Buffer.from(data, 'utf8');
}

function metadataOf(metadata: EventInput['metadata']): ReadonlyMap<string, string> | undefined {
  if (metadata === undefined) return undefined;
  const map = metadata instanceof Map ? metadata : new Map(Object.entries(metadata));
  return map.size === 0 ? undefined : map;
}
