import { FlotillaError, logIndex } from '../base/index.js';
import { NO_PRODUCER, type ProducerStamp } from '../event/index.js';
import type * as proto from './proto.js';

/** A stamp on its way to another node; absent for a batch that has none. */
export function stampToProto(stamp: ProducerStamp): proto.ProducerStamp | undefined {
  const { producer: producerId, epoch, sequence, bornAfter = 0 } = stamp;
  return producerId === 0 ? undefined : { producerId, epoch, sequence, incarnation: '', firstSentMsAgo: 0, bornAfter };
}

/** The inverse of {@link stampToProto}. Throws INVALID_ARGUMENT where a number is missing. */
export function stampFromPeer(message: proto.ProducerStamp | undefined): ProducerStamp {
  return message === undefined ? NO_PRODUCER : { ...stampFromProto(message), bornAfter: logIndex(message.bornAfter) };
}

/** The stamp of a client's batch. Throws INVALID_ARGUMENT where a number is missing. */
export function stampFromProto(message: proto.ProducerStamp | undefined): ProducerStamp {
  if (message === undefined) return NO_PRODUCER;
  for (const field of ['producerId', 'epoch', 'sequence'] as const) {
    if (message[field] === 0)
      throw new FlotillaError('INVALID_ARGUMENT', `producer.${FIELDS[field]}: is missing; ${HINTS[field]}`);
  }
  return { producer: message.producerId, epoch: message.epoch, sequence: message.sequence };
}

const FIELDS = { producerId: 'producer_id', epoch: 'epoch', sequence: 'sequence' } as const;

const HINTS = {
  producerId: 'make up a random number of 53 bits, or take that of OpenProducer',
  epoch: 'write 1, or take that of OpenProducer',
  sequence: 'number the batches from 1 on, or from the one behind last_sequence',
} as const;
