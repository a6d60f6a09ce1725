import { counter } from '../base/index.js';
import { type EventId, type EventLimits, formatEventId, type ProducerStamp } from '../event/index.js';
import type { Proposed, Replica } from '../replica/index.js';
import { type PackedBody, type proto, stampFromProto } from '../wire/index.js';
import { requireIncarnation } from './streams.js';
import { type BatchRequest, takeBody } from './take-body.js';

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
