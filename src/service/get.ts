import { type Event, parseEventId } from '../event/index.js';
import { inTurns, type Stream } from '../stream/index.js';
import { eventIn, openingStoredBatch } from '../wire/index.js';
import { HeldRecords } from './held-records.js';
import { eventAt, lastCounterAt } from './read-position.js';
import type { Reading } from './reading.js';
import { requireIncarnation } from './streams.js';

export interface GetRequest {
  /** Empty: the default one. */
  readonly stream: string;
  /** 25 digits or "counter.actor". */
  readonly id: string;
  /** Refused where the stream has another. */
  readonly incarnation?: string;
}

/** One event by its id. "There is none" is said only where a majority has confirmed that this node is not behind. */
export async function getEvent(
  request: GetRequest,
  stream: Stream,
  reading: Reading,
  signal: AbortSignal,
): Promise<Event> {
  const id = parseEventId(request.id, 'id');
  requireIncarnation(stream, request.incarnation ?? '');
  if (id.counter > (await lastCounterAt(stream, stream.group.commitIndex))) await stream.group.confirmReadIndex();
  const turns = reading.turnsOf(signal);
  const held = new HeldRecords(reading.records);
  try {
    await held.reserve(signal);
    if (turns.isDue) await turns.next();
    const { batch } = await eventAt(stream, id, 'id');
    held.hold(batch.bytes.byteLength);
    const reader = await inTurns(turns, openingStoredBatch(batch));
    return eventIn(batch, reader, id.counter - batch.header.baseCounter);
  } finally {
    held.release();
  }
}
