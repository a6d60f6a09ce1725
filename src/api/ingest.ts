import { counter, FlotillaError, LIMITS } from '../base/index.js';
import { checkNewEvent, type EventId, type EventLimits, formatEventId, type ProducerStamp } from '../event/index.js';
import type { Proposed, Replica } from '../replica/index.js';
import { checkPackedBody, newEventFromProto, type PackedBody, packBody, type proto, stampFromProto } from '../wire/index.js';
import { requireIncarnation } from './streams.js';

/** A batch as a request carries it. */
export interface BatchRequest {
  readonly events: readonly proto.NewEvent[];
  readonly packed: proto.PackedBody | undefined;
  readonly producer: proto.ProducerStamp | undefined;
}

/** A batch on its way in, and by what the stream knows it again. */
export interface IncomingBatch {
  readonly body: PackedBody;
  readonly stamp: ProducerStamp;
}

/**
 * The encoded body of a batch, checked in full: past this point nobody looks
 * into it again before a consumer. Throws INVALID_ARGUMENT or MESSAGE_TOO_LARGE,
 * and POSITION_MISMATCH where its stamp is for another incarnation.
 */
export function takeIn(request: BatchRequest, limits: EventLimits, replica: Replica): IncomingBatch {
  requireIncarnation(replica, request.producer?.incarnation ?? '', 'producer.incarnation');
  return { stamp: stampFromProto(request.producer), body: takeBody(request, limits) };
}

function takeBody({ events, packed }: BatchRequest, limits: EventLimits): PackedBody {
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

/** What the producer holds once its batch is durable. */
export function receiptFor(replica: Replica, body: PackedBody, proposed: Proposed): proto.Receipt {
  const { actor } = proposed;
  const first: EventId = { counter: proposed.firstCounter, actor };
  const last: EventId = { counter: counter(proposed.firstCounter + body.count - 1), actor };
  return {
    firstId: formatEventId(first),
    lastId: formatEventId(last),
    count: body.count,
    term: proposed.term,
    logIndex: proposed.index,
    incarnation: replica.incarnation,
  };
}
