import { FlotillaError } from '../base/index.js';
import { type Event, formatEventId, type NewEvent, parseEventId } from '../event/index.js';
import { LATEST_TIMESTAMP_MS } from './batch-events.js';
import type * as messages from './gen/flotilla/v1/event.js';

/**
 * A plain event as it came in; still to be checked by `checkNewEvent`. A parent
 * id that is none is INVALID_ARGUMENT and names `field`, such as `events[3]`.
 */
export function newEventFromProto(message: messages.NewEvent, field: string): NewEvent {
  return {
    namespace: message.namespace,
    data: message.data,
    parentId: message.parentId === '' ? undefined : parseEventId(message.parentId, `${field}.parent_id`),
    ...attributesOf(message),
  };
}

export function eventToProto(event: Event): messages.Event {
  return {
    id: formatEventId(event.id),
    parentId: event.parentId === undefined ? '' : formatEventId(event.parentId),
    namespace: event.namespace,
    timestampMs: event.timestampMs,
    data: event.data,
    type: event.type ?? '',
    contentType: event.contentType ?? '',
    metadata: new Map(event.metadata),
  };
}

/** An event that a node sent. Throws INVALID_ARGUMENT where no node of this version would. */
export function eventFromProto(message: messages.Event): Event {
  if (Math.abs(message.timestampMs) > LATEST_TIMESTAMP_MS) {
    throw new FlotillaError('INVALID_ARGUMENT', `event.timestamp_ms: ${message.timestampMs} is not a time`);
  }
  return {
    id: parseEventId(message.id, 'event.id'),
    parentId: message.parentId === '' ? undefined : parseEventId(message.parentId, 'event.parent_id'),
    namespace: message.namespace,
    timestampMs: message.timestampMs,
    data: message.data,
    ...attributesOf(message),
  };
}

interface AttributeFields {
  readonly type: string;
  readonly contentType: string;
  readonly metadata: ReadonlyMap<string, string>;
}

/** On the wire an empty field is an absent one. */
function attributesOf({
  type,
  contentType,
  metadata,
}: AttributeFields): Pick<Event, 'type' | 'contentType' | 'metadata'> {
  return {
    type: type || undefined,
    contentType: contentType || undefined,
    metadata: metadata.size === 0 ? undefined : metadata,
  };
}
