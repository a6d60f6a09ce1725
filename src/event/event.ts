import { FlotillaError, LIMITS } from '../base/index.js';
import type { EventId } from './event-id.js';
import { checkNamespace } from './namespace.js';
import { utf8Length } from './text.js';

/** A name, a MIME type and a string map that describe an event's data. The empty string means none. */
export interface EventAttributes {
  readonly type?: string | undefined;
  readonly contentType?: string | undefined;
  readonly metadata?: ReadonlyMap<string, string> | undefined;
}

/** An event as a producer hands it in. */
export interface NewEvent extends EventAttributes {
  readonly namespace: string;
  /** May be empty. */
  readonly data: Uint8Array;
  /** The event that caused this one. */
  readonly parentId?: EventId | undefined;
}

/** An event as consumers see it. */
export interface Event {
  readonly id: EventId;
  readonly parentId: EventId | undefined;
  readonly namespace: string;
  /** UTC milliseconds, set by the stream's leader; not monotonic. */
  readonly timestampMs: number;
  readonly data: Uint8Array;
  readonly type: string | undefined;
  readonly contentType: string | undefined;
  readonly metadata: ReadonlyMap<string, string> | undefined;
}

/** What an operator may set. */
export interface EventLimits {
  /** Data of one event. */
  readonly eventDataBytes: number;
}

/**
 * Throws unless a producer may append this event: INVALID_ARGUMENT, or
 * MESSAGE_TOO_LARGE for its data. `field` is what the caller calls the event,
 * such as `events[3]`. A parent id is well formed by its type.
 */
export function checkNewEvent(event: NewEvent, limits: EventLimits, field: string): void {
  checkNamespace(event.namespace, `${field}.namespace`);
  checkDataSize(event.data.byteLength, limits, field);
  checkAttributes(event, field);
}

/** Throws MESSAGE_TOO_LARGE where an event's data is larger than the limit. */
export function checkDataSize(bytes: number, limits: EventLimits, field: string): void {
  if (bytes <= limits.eventDataBytes) return;
  throw new FlotillaError(
    'MESSAGE_TOO_LARGE',
    `${field}.data: ${bytes} bytes are more than the ${limits.eventDataBytes} that this node takes (--max-event-bytes)`,
  );
}

/** Throws INVALID_ARGUMENT unless type, content type and metadata are text without NUL, at most 8 KiB together. */
export function checkAttributes(attributes: EventAttributes, field: string): void {
  const { type, contentType, metadata } = attributes;
  let bytes = 0;
  if (type !== undefined) bytes += textLength(type, field, 'type');
  if (contentType !== undefined) bytes += textLength(contentType, field, 'contentType');
  if (metadata !== undefined) {
    for (const [key, value] of metadata)
      bytes += textLength(key, field, 'metadata') + textLength(value, field, 'metadata');
  }
  if (bytes > LIMITS.attributeBytes) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `${field}: type, contentType and metadata take ${bytes} bytes together, more than the ` +
        `${LIMITS.attributeBytes} that an event may have`,
    );
  }
}

function textLength(text: string, field: string, part: string): number {
  const bytes = utf8Length(text);
  if (bytes === undefined)
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `${field}.${part}: it holds a lone surrogate, which is not Unicode text`,
    );
  if (text.includes('\0')) throw new FlotillaError('INVALID_ARGUMENT', `${field}.${part}: it holds a NUL character`);
  return bytes;
}
