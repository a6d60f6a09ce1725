import { counter } from '../base/index.js';
import { type EventId, type EventLimits, NO_PRODUCER, type ProducerStamp } from '../event/index.js';
import type { Proposed } from '../machine/index.js';
import { isFirstOfUnnamed } from '../machine/stream/index.js';
import type { Stream } from '../stream/index.js';
import type { PackedBody } from '../wire/index.js';
import { type BatchContent, checkBatch } from './check-batch.js';
import { requireIncarnation } from './streams.js';

/** A batch as a producer hands it in. */
export interface NewBatch {
  /** Empty: the default one. */
  readonly stream: string;
  readonly content: BatchContent;
  /** The stream recognises the batch by it when it comes again; absent: it does not. */
  readonly stamp?: ProducerStamp | undefined;
  /** The incarnation that the stream must have for the stamp to count; empty: whichever it has. */
  readonly incarnation?: string | undefined;
  /** Monotonic, of this process: the first attempt of the batch was sent later than this; absent: that is unknown. */
  readonly firstSentAfterMs?: number | undefined;
}

/** What the producer holds once its batch is durable. */
export interface Receipt {
  readonly firstId: EventId;
  readonly lastId: EventId;
  readonly count: number;
  readonly term: number;
  readonly logIndex: number;
  readonly incarnation: string;
}

/** A batch on its way in, and by what the stream knows it again. */
export interface IncomingBatch {
  readonly body: PackedBody;
  readonly stamp: ProducerStamp;
}

/**
 * The encoded body of a batch, checked in full. Throws INVALID_ARGUMENT or
 * MESSAGE_TOO_LARGE, and POSITION_MISMATCH where its stamp is for another
 * incarnation.
 */
export function takeIn(batch: NewBatch, limits: EventLimits, stream: Stream): IncomingBatch {
  const { content, stamp = NO_PRODUCER, incarnation = '', firstSentAfterMs = Number.NEGATIVE_INFINITY } = batch;
  requireIncarnation(stream, incarnation, 'producer.incarnation');
  const body = checkBatch(content, limits);
  if (!isFirstOfUnnamed(stamp)) return { stamp, body };
  return { stamp: { ...stamp, bornAfter: stream.state.indexAt(firstSentAfterMs) }, body };
}

export function receiptFor(stream: Stream, body: PackedBody, proposed: Proposed): Receipt {
  const { actor, firstCounter, term, index } = proposed;
  return {
    firstId: { counter: firstCounter, actor },
    lastId: { counter: counter(firstCounter + body.count - 1), actor },
    count: body.count,
    term,
    logIndex: index,
    incarnation: stream.group.incarnation,
  };
}
