import { FlotillaError } from '../base/index.js';
import { NO_PRODUCER, type ProducerStamp } from '../event/index.js';
import type * as proto from './proto.js';

/** Absent for a producer without memory. */
export function stampToProto({ producer, epoch, sequence }: ProducerStamp): proto.ProducerStamp | undefined {
  return producer === 0 ? undefined : { producerId: producer, epoch, sequence, incarnation: '' };
}

/** The inverse. Throws INVALID_ARGUMENT where a number is missing. */
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
  producerId: 'OpenProducer gives it',
  epoch: 'OpenProducer gives it',
  sequence: 'number the batches from 1 on, or from the one behind last_sequence',
} as const;
