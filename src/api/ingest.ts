import { counter } from '../base/index.js';
import { type EventId, type EventLimits, formatEventId, type ProducerStamp } from '../event/index.js';
import type { Proposed } from '../machine/index.js';
import { isFirstOfUnnamed } from '../machine/stream/index.js';
import type { CallContext } from '../rpc/index.js';
import type { Stream } from '../stream/index.js';
import { type PackedBody, type proto, stampFromProto } from '../wire/index.js';
import { requireIncarnation } from './streams.js';
import { type BatchRequest, takeBody } from './take-body.js';

/** A batch on its way in, and what tells the stream that it has it already. */
export interface IncomingBatch {
  readonly body: PackedBody;
  readonly stamp: ProducerStamp;
}

/**
 * The encoded body of a batch, checked in full: past this point nobody looks
 * into it again before a consumer. Throws INVALID_ARGUMENT or MESSAGE_TOO_LARGE,
 * and POSITION_MISMATCH where its stamp is for another incarnation.
 */
export function takeIn(
  request: BatchRequest,
  limits: EventLimits,
  replica: Stream,
  call: Pick<CallContext, 'sentAfterMs'>,
): IncomingBatch {
  const { producer } = request;
  requireIncarnation(replica, producer?.incarnation ?? '', 'producer.incarnation');
  const [stamp, body] = [stampFromProto(producer), takeBody(request, limits)];
  if (producer === undefined || !isFirstOfUnnamed(stamp)) return { stamp, body };
  const firstSentMs = call.sentAfterMs - producer.firstSentMsAgo * CLOCK_RATES_APART;
  return { stamp: { ...stamp, bornAfter: replica.state.indexAt(firstSentMs) }, body };
}

/** A client's clock may be slower than this node's, but not by that much. */
const CLOCK_RATES_APART = 1.01;

/** What the producer holds once its batch is durable. */
export function receiptFor(replica: Stream, body: PackedBody, proposed: Proposed): proto.Receipt {
  const { actor } = proposed;
  const first: EventId = { counter: proposed.firstCounter, actor };
  const last: EventId = { counter: counter(proposed.firstCounter + body.count - 1), actor };
  return {
    firstId: formatEventId(first),
    lastId: formatEventId(last),
    count: body.count,
    term: proposed.term,
    logIndex: proposed.index,
    incarnation: replica.group.incarnation,
  };
}
