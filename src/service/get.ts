import { parseEventId } from '../event/index.js';
import { inTurns, type Replica } from '../replica/index.js';
import { eventIn, eventToProto, openingStoredBatch, type proto } from '../wire/index.js';
import { HeldRecords } from './held-records.js';
import { eventAt, lastCounterAt } from './read-position.js';
import type { Reading } from './reading.js';
import { requireIncarnation } from './streams.js';

/** One event by its id. "There is none" is said only where a majority has confirmed that this node is not behind. */
export async function getEvent(
  request: proto.GetRequest,
  replica: Replica,
  reading: Reading,
  signal: AbortSignal,
): Promise<proto.GetResponse> {
  const id = parseEventId(request.id, 'id');
  requireIncarnation(replica, request.incarnation);
  if (id.counter > (await lastCounterAt(replica, replica.commitIndex))) await replica.confirmReadIndex();
  const turns = reading.turnsOf(signal);
  const held = new HeldRecords(reading.records);
  try {
    await held.reserve(signal);
    if (turns.isDue) await turns.next();
    const { batch } = await eventAt(replica, id, 'id');
    held.hold(batch.bytes.byteLength);
    const reader = await inTurns(turns, openingStoredBatch(batch));
    return { event: eventToProto(eventIn(batch, reader, id.counter - batch.header.baseCounter)) };
  } finally {
    held.release();
  }
}
