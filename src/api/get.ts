import { parseEventId } from '../event/index.js';
import type { Replica } from '../replica/index.js';
import { eventsOf, eventToProto, type proto } from '../wire/index.js';
import { eventAt, lastCounterAt } from './read-position.js';
import { requireIncarnation } from './streams.js';

/** One event by its id. "There is none" is said only where a majority has confirmed that this node is not behind. */
export async function getEvent(request: proto.GetRequest, replica: Replica): Promise<proto.GetResponse> {
  const id = parseEventId(request.id, 'id');
  requireIncarnation(replica, request.incarnation);
  if (id.counter > (await lastCounterAt(replica, replica.commitIndex))) await replica.confirmReadIndex();
  const { batch } = await eventAt(replica, id, 'id');
  const [event] = eventsOf(batch, [id.counter - batch.header.baseCounter]);
  return { event: event && eventToProto(event) };
}
