import { FlotillaError } from '../base/index.js';
import { formatEventId } from '../event/index.js';
import type { Consistency, ReadPart, ReadRequest } from '../service/index.js';
import { eventToProto, proto } from '../wire/index.js';

const CONSISTENCIES: Readonly<Record<number, Consistency>> = {
  [proto.Consistency.UNSPECIFIED]: 'default',
  [proto.Consistency.CONFIRMED]: 'confirmed',
  [proto.Consistency.LOCAL]: 'local',
};

/** Throws INVALID_ARGUMENT. */
export function readFromProto(request: proto.ReadRequest): ReadRequest {
  const consistency = CONSISTENCIES[request.consistency];
  if (consistency === undefined)
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `consistency: ${request.consistency} is unknown; use 0, 1 (confirmed) or 2 (local)`,
    );
  return { ...request, consistency };
}

export function partToProto(part: ReadPart): proto.ReadResponse {
  return { content: contentToProto(part) };
}

function contentToProto(part: ReadPart): proto.ReadResponse['content'] {
  switch (part.kind) {
    case 'started': {
      const { incarnation, endId, confirmed } = part;
      const id = endId === undefined ? '' : formatEventId(endId);
      return { $case: 'started', value: { incarnation, endId: id, confirmed } };
    }
    case 'events':
      return { $case: 'events', value: { events: part.events.map(eventToProto) } };
    case 'batches':
      return { $case: 'batches', value: { batches: [...part.batches] } };
    case 'gathered':
      return { $case: 'gathered', value: { gathered: [...part.gathered] } };
    case 'caught-up':
      return { $case: 'caughtUp', value: {} };
  }
}
