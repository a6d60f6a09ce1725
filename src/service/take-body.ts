import { FlotillaError, LIMITS } from '../base/index.js';
import { checkNewEvent, type EventLimits } from '../event/index.js';
import { checkPackedBody, newEventFromProto, type PackedBody, packBody, type proto } from '../wire/index.js';

/** A batch as a request carries it. */
export interface BatchRequest {
  readonly events: readonly proto.NewEvent[];
  readonly packed: proto.PackedBody | undefined;
  readonly producer: proto.ProducerStamp | undefined;
  /** What came of its body where it was looked at before, away from the event loop; then there are no events. */
  readonly taken?: PackedBody | FlotillaError | undefined;
}

/**
 * The encoded body of a batch, checked in full: past this point nobody looks
 * into it again before a consumer. Throws INVALID_ARGUMENT or MESSAGE_TOO_LARGE.
 */
export function takeBody({ events, packed, taken }: BatchRequest, limits: EventLimits): PackedBody {
  if (taken instanceof FlotillaError) throw taken;
  if (taken !== undefined) return taken;
  if (packed !== undefined) {
    if (events.length > 0) throw new FlotillaError('INVALID_ARGUMENT', 'events and packed: send one of them, not both');
    checkPackedBody(packed, limits);
    return packed;
  }
  if (events.length === 0) throw new FlotillaError('INVALID_ARGUMENT', 'events: a batch has at least one event');
  if (events.length > LIMITS.eventsPerBatch) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `events: ${events.length} are more than the ${LIMITS.eventsPerBatch} that one batch may have`,
    );
  }
  return packBody(
    events.map((message, position) => {
      const event = newEventFromProto(message, `events[${position}]`);
      checkNewEvent(event, limits, `events[${position}]`);
      return event;
    }),
  );
}
