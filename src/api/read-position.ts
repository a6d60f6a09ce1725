import { type Counter, counter, FlotillaError, LIMITS, type LogIndex, logIndex } from '../base/index.js';
import { type EventId, formatEventId } from '../event/index.js';
import type { Replica } from '../replica/index.js';
import { batchesOf } from '../wire/index.js';

/** Where a read begins. */
export interface ReadPosition {
  /** The record to begin with. */
  readonly index: LogIndex;
  /** Events up to this counter are passed over. */
  readonly afterCounter: Counter;
}

/** The counter of the last event at or before a committed index; 0 where there is none. */
export async function lastCounterAt(replica: Replica, index: LogIndex): Promise<Counter> {
  if (index === replica.begin.index) return counter(replica.begin.nextCounter - 1);
  if (index === replica.tail.index) return counter(replica.tail.nextCounter - 1);
  const [record] = await replica.read(index, index, LIMITS.readChunkBytes);
  return counter(record === undefined ? 0 : record.firstCounter + record.eventCount - 1);
}

interface LocatedEvent {
  readonly id: EventId;
  /** The record that holds it. */
  readonly index: LogIndex;
}

/** The committed event with this counter; undefined where there is none. */
export async function locate(replica: Replica, sought: Counter): Promise<LocatedEvent | undefined> {
  const index = await replica.indexOfCounter(sought);
  if (index === undefined || index > replica.commitIndex) return undefined;
  const [record] = await replica.read(index, index, LIMITS.readChunkBytes);
  const batch = record && batchesOf(record).find(({ header }) => sought < header.baseCounter + header.count);
  return batch && { id: { counter: sought, actor: batch.header.actor }, index };
}

/**
 * The place after an event. The event must be one of this stream: a position of
 * another history would silently skip or repeat events.
 */
export async function positionAfter(replica: Replica, id: EventId): Promise<ReadPosition> {
  const { begin } = replica;
  if (id.counter < begin.nextCounter - 1) throw await removed(replica, `start_after: the event after ${formatEventId(id)}`);
  // The last event that was given up: which actor took it in is not known any more, and nothing after it is missing.
  if (id.counter === begin.nextCounter - 1) return firstPosition(replica);
  const found = await locate(replica, id.counter);
  if (found === undefined) {
    throw new FlotillaError(
      'POSITION_MISMATCH',
      `start_after: the stream has no event ${formatEventId(id)}; is it the id of another stream?`,
    );
  }
  if (found.id.actor !== id.actor) {
    const there = formatEventId(found.id);
    throw new FlotillaError(
      'POSITION_MISMATCH',
      `start_after: event ${id.counter} of this stream is ${there}, not ${formatEventId(id)}; is it the id of another stream?`,
    );
  }
  return { index: found.index, afterCounter: id.counter };
}

/** Where the log begins. */
export function firstPosition({ begin }: Replica): ReadPosition {
  return { index: logIndex(begin.index + 1), afterCounter: counter(begin.nextCounter - 1) };
}

/** `what` lies before the log's begin. */
async function removed(replica: Replica, what: string): Promise<FlotillaError> {
  const first = await locate(replica, replica.begin.nextCounter);
  const there = first === undefined ? 'it has no event now' : `its first event is ${formatEventId(first.id)}`;
  return new FlotillaError('POSITION_REMOVED', `${what} is not kept any more: ${there}`);
}
