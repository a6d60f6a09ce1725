import { FlotillaError } from '../base/index.js';
import { formatEventId } from '../event/index.js';
import { isFirstOfUnnamed } from '../machine/stream/index.js';
import type { CallContext } from '../rpc/index.js';
import type { BatchContent, NewBatch, NumberedBatch, ProduceAnswer, Receipt } from '../service/index.js';
import { newEventFromProto, type PackedBody, type proto, stampFromProto } from '../wire/index.js';

/** A request that carries a batch. */
export interface BatchRequest {
  readonly stream: string;
  readonly events: readonly proto.NewEvent[];
  readonly packed: proto.PackedBody | undefined;
  readonly producer: proto.ProducerStamp | undefined;
  /** What came of its body where it was looked at before, away from the event loop; then there are no events. */
  readonly taken?: PackedBody | FlotillaError | undefined;
}

/** Throws INVALID_ARGUMENT, and what came of the body away from the event loop. */
export function batchFromProto(request: BatchRequest, arrival: Arrival): NewBatch {
  const { stream, producer } = request;
  const content = contentFromProto(request);
  if (producer === undefined) return { stream, content };
  const { incarnation, firstSentMsAgo } = producer;
  const stamp = stampFromProto(producer);
  if (!isFirstOfUnnamed(stamp)) return { stream, content, stamp, incarnation };
  const firstSentAfterMs = arrival.sentAfterMs - firstSentMsAgo * CLOCK_RATES_APART;
  return { stream, content, stamp, incarnation, firstSentAfterMs };
}

/** When a call's messages were sent; see `CallContext`. */
export type Arrival = Pick<CallContext, 'sentAfterMs'>;

/** A client's clock may be slower than this node's, but not by that much. */
const CLOCK_RATES_APART = 1.01;

/** Throws INVALID_ARGUMENT. */
export function contentFromProto({ events, packed, taken }: Omit<BatchRequest, 'stream' | 'producer'>): BatchContent {
  if (taken instanceof FlotillaError) throw taken;
  if (taken !== undefined) return { kind: 'checked', body: taken };
  if (packed === undefined)
    return {
      kind: 'events',
      events: events.map((message, position) => newEventFromProto(message, `events[${position}]`)),
    };
  if (events.length > 0) throw new FlotillaError('INVALID_ARGUMENT', 'events and packed: send one of them, not both');
  return { kind: 'packed', packed };
}

/** A batch of a Produce stream: what is wrong with one does not concern the others. */
export function numberedFromProto(
  request: proto.ProduceRequest & Pick<BatchRequest, 'taken'>,
  arrival: Arrival,
): NumberedBatch {
  const { requestId } = request;
  try {
    return { requestId, batch: batchFromProto(request, arrival) };
  } catch (error) {
    if (!(error instanceof FlotillaError)) throw error;
    return { requestId, batch: error };
  }
}

export function receiptToProto({ firstId, lastId, ...receipt }: Receipt): proto.Receipt {
  return { firstId: formatEventId(firstId), lastId: formatEventId(lastId), ...receipt };
}

export function answerToProto(answer: ProduceAnswer): proto.ProduceResponse {
  switch (answer.kind) {
    case 'receipt': {
      const { requestId, receipt } = answer;
      return { requestId, outcome: { $case: 'receipt', value: receiptToProto(receipt) } };
    }
    case 'failure': {
      const { code, message, leader = '' } = answer.failure;
      return { requestId: answer.requestId, outcome: { $case: 'failure', value: { code, message, leader } } };
    }
    case 'leader': {
      const { actor, address, members } = answer;
      return {
        requestId: NO_REQUEST,
        outcome: { $case: 'leader', value: { actorId: actor, address, members: [...members] } },
      };
    }
  }
}

/** What is about no batch. */
const NO_REQUEST = '0';
