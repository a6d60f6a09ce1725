import { FlotillaError, LIMITS } from '../base/index.js';
import { checkNewEvent, type EventLimits, type NewEvent } from '../event/index.js';
import { checkPackedBody, type PackedBody, packBody } from '../wire/index.js';

/** The events of a batch, in the form in which they came in. */
export type BatchContent =
  | { readonly kind: 'events'; readonly events: readonly NewEvent[] }
  /** Encoded by its producer. */
  | { readonly kind: 'packed'; readonly packed: PackedBody }
  /** What {@link checkBatch} made of it, away from the event loop. */
  | { readonly kind: 'checked'; readonly body: PackedBody };

/**
 * The encoded body of a batch, checked in full: past this point no code looks into it again before a consumer. Throws
 * INVALID_ARGUMENT or MESSAGE_TOO_LARGE.
 */
export function checkBatch(content: BatchContent, limits: EventLimits): PackedBody {
  switch (content.kind) {
    case 'checked':
      return content.body;
    case 'packed':
      checkPackedBody(content.packed, limits);
      return content.packed;
    case 'events':
      return packEvents(content.events, limits);
  }
}

function packEvents(events: readonly NewEvent[], limits: EventLimits): PackedBody {
  if (events.length === 0) throw new FlotillaError('INVALID_ARGUMENT', 'events: a batch has at least one event');
  if (events.length > LIMITS.eventsPerBatch) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `events: ${events.length} are more than the ${LIMITS.eventsPerBatch} that one batch may have`,
    );
  }
  for (const [position, event] of events.entries()) checkNewEvent(event, limits, `events[${position}]`);
  return packBody(events);
}
