import { isUtf8 } from 'node:buffer';
import { FlotillaError, messageOf } from '../base/index.js';
import { type Event, type EventId, excerpt, formatEventId, type NewEvent, parseEventId } from '../event/index.js';

/**
 * An event as JSON knows it; the keys stand in this order. Empty data has
 * neither key, data that is not UTF-8 the second.
 */
export interface EventJson {
  readonly id: string;
  readonly parentId?: string;
  readonly namespace: string;
  /** ISO 8601 with milliseconds, UTC. */
  readonly timestamp: string;
  readonly type?: string;
  readonly contentType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly data?: string;
  readonly dataBase64?: string;
}

export function eventToJson(event: Event): EventJson {
  return {
    id: formatEventId(event.id),
    ...(event.parentId === undefined ? {} : { parentId: formatEventId(event.parentId) }),
    namespace: event.namespace,
    timestamp: new Date(event.timestampMs).toISOString(),
    ...(event.type === undefined ? {} : { type: event.type }),
    ...(event.contentType === undefined ? {} : { contentType: event.contentType }),
    // fromEntries makes even of "__proto__" a key like any other.
    ...(event.metadata === undefined ? {} : { metadata: Object.fromEntries(event.metadata) }),
    ...dataToJson(event.data),
  };
}

function dataToJson(data: Uint8Array): { data?: string; dataBase64?: string } {
  if (data.byteLength === 0) return {};
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return isUtf8(bytes) ? { data: bytes.toString('utf8') } : { dataBase64: bytes.toString('base64') };
}

/** Every key of an export; an event's id and time are given anew. */
const KEYS: ReadonlySet<string> = new Set([
  'id',
  'parentId',
  'namespace',
  'timestamp',
  'type',
  'contentType',
  'metadata',
  'data',
  'dataBase64',
]);

/**
 * Reads one line of JSON as an event to append; still to be checked by
 * `checkNewEvent`. A line without a namespace takes `defaultNamespace`. Throws
 * INVALID_ARGUMENT, which names `field`, such as `line 3`, and the key.
 */
export function newEventFromJson(line: string, field: string, defaultNamespace?: string): NewEvent {
  return newEventOf(parseRecord(line, field), field, defaultNamespace);
}

/** An event of an export: what is to be appended, and the id that it had; undefined where the line tells of none. */
export interface ExportedEvent {
  readonly id: EventId | undefined;
  readonly event: NewEvent;
}

/** Like {@link newEventFromJson}, with the id that the line tells of. */
export function exportedEventFromJson(line: string, field: string): ExportedEvent {
  const record = parseRecord(line, field);
  const id = textOf(record, 'id', field);
  return {
    id: id === undefined ? undefined : parseEventId(id, `${field}.id`),
    event: newEventOf(record, field, undefined),
  };
}

function newEventOf(
  record: ReadonlyMap<string, unknown>,
  field: string,
  defaultNamespace: string | undefined,
): NewEvent {
  for (const key of record.keys()) {
    if (!KEYS.has(key)) throw refused(`${field}: the key ${excerpt(key)} is unknown: write ${[...KEYS].join(', ')}`);
  }
  const namespace = textOf(record, 'namespace', field) ?? defaultNamespace;
  if (namespace === undefined) throw refused(`${field}.namespace: it is missing`);
  const parentId = textOf(record, 'parentId', field);
  return {
    namespace,
    parentId: parentId === undefined ? undefined : parseEventId(parentId, `${field}.parentId`),
    type: textOf(record, 'type', field),
    contentType: textOf(record, 'contentType', field),
    metadata: metadataOf(record, field),
    data: dataOf(record, field),
  };
}

function parseRecord(line: string, field: string): Map<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw refused(`${field}: not JSON: ${messageOf(error)}`, error);
  }
  if (!isRecord(value)) throw refused(`${field}: not a JSON object`);
  return new Map(Object.entries(value));
}

function textOf(record: ReadonlyMap<string, unknown>, key: string, field: string): string | undefined {
  const value = record.get(key);
  if (value !== undefined && typeof value !== 'string') throw refused(`${field}.${key}: it must be a string`);
  return value;
}

function metadataOf(record: ReadonlyMap<string, unknown>, field: string): ReadonlyMap<string, string> | undefined {
  const value = record.get('metadata');
  if (value === undefined) return undefined;
  if (!isRecord(value)) throw refused(`${field}.metadata: it must be an object of strings`);
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw refused(`${field}.metadata: the value of ${excerpt(key)} must be a string`);
    metadata.set(key, text);
  }
  return metadata.size === 0 ? undefined : metadata;
}

function dataOf(record: ReadonlyMap<string, unknown>, field: string): Uint8Array {
  const text = textOf(record, 'data', field);
  const base64 = textOf(record, 'dataBase64', field);
  if (text !== undefined && base64 !== undefined)
    throw refused(`${field}: data and dataBase64 are given; write one of them`);
  if (base64 !== undefined) {
    const bytes = Buffer.from(base64, 'base64');
    // Node skips what is not Base64; only what comes out the same was that.
    if (bytes.toString('base64') !== base64) throw refused(`${field}.dataBase64: it is not Base64 with its padding`);
    return bytes;
  }
  const bytes = Buffer.from(text ?? '', 'utf8');
  if (text !== undefined && bytes.toString('utf8') !== text)
    throw refused(`${field}.data: it holds a lone surrogate, which is not Unicode text`);
  return bytes;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refused(message: string, cause?: unknown): FlotillaError {
  return new FlotillaError('INVALID_ARGUMENT', message, { cause });
}
