import { type Counter, counter, FlotillaError, LIMITS, type LogIndex, logIndex } from '../base/index.js';
import { type EventId, formatEventId, type StoredBatch } from '../event/index.js';
import type { Stream } from '../stream/index.js';
import { batchesOf } from '../wire/index.js';

/** Where a read begins. */
export interface ReadPosition {
  /** The record to begin with. */
  readonly index: LogIndex;
  /** Events up to this counter are passed over. */
  readonly afterCounter: Counter;
}

/** The counter of the last event at or before a committed index; 0 where there is none. */
export async function lastCounterAt(stream: Stream, index: LogIndex): Promise<Counter> {
  if (index === stream.group.begin.index) return counter(stream.group.begin.nextCounter - 1);
  if (index === stream.group.tail.index) return counter(stream.group.tail.nextCounter - 1);
  const [record] = await stream.group.read(index, index, LIMITS.readChunkBytes);
  return counter(record === undefined ? 0 : record.firstCounter + record.eventCount - 1);
}

export interface StoredEvent {
  readonly id: EventId;
  /** The record that holds it. */
  readonly index: LogIndex;
  readonly batch: StoredBatch;
}

/** The committed event with this counter; undefined where there is none, or none any more. */
export async function locate(stream: Stream, sought: Counter): Promise<StoredEvent | undefined> {
  if (sought < stream.state.first.firstCounter) return undefined;
  const index = await stream.group.indexOfCounter(sought);
  if (index === undefined || index > stream.group.commitIndex) return undefined;
  const [record] = await stream.group.read(index, index, LIMITS.readChunkBytes);
  const batch = record && batchesOf(record).find(({ header }) => sought < header.baseCounter + header.count);
  return batch && { id: { counter: sought, actor: batch.header.actor }, index, batch };
}

/** An event that a read begins or ends with, or right beside. */
export interface EventBound {
  readonly id: EventId;
  /** Whether it is one of those to read. */
  readonly included: boolean;
  /** The field that it came in. */
  readonly field: string;
}

/**
 * The place after an event, or before it where it is included. The event must
 * be one of this stream: a position of another history would silently skip or
 * repeat events.
 */
export async function startPosition(stream: Stream, bound: EventBound): Promise<ReadPosition> {
  const { id, included, field } = bound;
  const first = firstPosition(stream);
  // The last event that was given up: which actor took it in is not known any more, and nothing after it is missing.
  if (!included && id.counter === first.afterCounter) return first;
  if (id.counter <= first.afterCounter)
    throw await removed(stream, `${field}: the event ${included ? '' : 'after '}${formatEventId(id)}`);
  const { index } = await requireEvent(stream, bound);
  return { index, afterCounter: counter(included ? id.counter - 1 : id.counter) };
}

/** The last record that a read which ends with this bound looks at, and the counter that it stays below. */
export async function endPosition(
  stream: Stream,
  bound: EventBound,
): Promise<{ index: LogIndex; beforeCounter: number }> {
  const { id, included, field } = bound;
  if (id.counter <= firstPosition(stream).afterCounter) throw await removed(stream, `${field}: ${formatEventId(id)}`);
  const { index } = await requireEvent(stream, bound);
  return { index, beforeCounter: included ? id.counter + 1 : id.counter };
}

/** The committed event with this id, for a caller that asked for it by `field`. */
export async function eventAt(stream: Stream, id: EventId, field: string): Promise<StoredEvent> {
  if (id.counter <= firstPosition(stream).afterCounter) throw await removed(stream, `${field}: ${formatEventId(id)}`);
  const found = await locate(stream, id.counter);
  if (found === undefined)
    throw new FlotillaError('NOT_FOUND', `${field}: the stream has no event ${formatEventId(id)}`);
  requireActor(found, id, field);
  return found;
}

/**
 * That there is no such event is final, so it is said only where a majority has confirmed that this node is not behind.
 */
async function requireEvent(stream: Stream, bound: EventBound): Promise<StoredEvent> {
  const { id, field } = bound;
  let found = await locate(stream, id.counter);
  if (found === undefined) {
    await confirmEnd(stream, bound);
    found = await locate(stream, id.counter);
  }
  if (found === undefined) {
    if (id.counter <= firstPosition(stream).afterCounter) throw await removed(stream, `${field}: ${formatEventId(id)}`);
    throw new FlotillaError(
      'POSITION_MISMATCH',
      `${field}: the stream has no event ${formatEventId(id)}; is it the id of another stream?`,
    );
  }
  requireActor(found, id, field);
  return found;
}

async function confirmEnd(stream: Stream, { id, field }: EventBound): Promise<void> {
  try {
    await stream.group.confirmReadIndex();
  } catch (cause) {
    if (!(cause instanceof FlotillaError) || cause.code !== 'NO_LEADER') throw cause;
    throw new FlotillaError(
      'NO_LEADER',
      `${field}: this node does not know of event ${formatEventId(id)} yet, ` +
        'and waits for a majority to say where the stream ends; try again',
      { cause },
    );
  }
}

function requireActor(found: StoredEvent, id: EventId, field: string): void {
  if (found.id.actor === id.actor) return;
  const there = formatEventId(found.id);
  throw new FlotillaError(
    'POSITION_MISMATCH',
    `${field}: event ${id.counter} of this stream is ${there}, not ${formatEventId(id)}; ` +
      'is it the id of another stream?',
  );
}

/** Where the stream begins: what is older is not delivered, also where its segment still stands. */
export function firstPosition({ state }: Stream): ReadPosition {
  const { index, firstCounter } = state.first;
  return { index: logIndex(index + 1), afterCounter: counter(firstCounter - 1) };
}

/**
 * Where a reader goes on that has had all before record `next`, and wants what is behind `afterCounter`. Throws
 * POSITION_REMOVED where the begin of the stream has overtaken it: skipping what was removed would leave a hole that no
 * reader tells of.
 */
export async function keptFrom(stream: Stream, next: LogIndex, afterCounter: number): Promise<LogIndex> {
  const { first } = stream.state;
  if (next > first.index + 1 || next > stream.group.commitIndex || afterCounter + 1 >= first.firstCounter)
    return logIndex(Math.max(next, first.index + 1));
  const [record] = next > stream.group.begin.index ? await stream.group.read(next, next, 1) : [];
  if ((record?.firstCounter ?? 0) < first.firstCounter) throw await removed(stream, 'the next event');
  // What is left of the records before the begin holds no events.
  return logIndex(Math.max(next, first.index + 1));
}

/** Looks for what the stream holds now: again, where its begin has overtaken the search. */
export async function notOvertaken<Result>({ state }: Stream, search: () => Promise<Result>): Promise<Result> {
  for (;;) {
    const { firstCounter } = state.first;
    try {
      return await search();
    } catch (error) {
      const overtaken =
        error instanceof FlotillaError && error.code === 'POSITION_REMOVED' && state.first.firstCounter > firstCounter;
      if (!overtaken) throw error;
    }
  }
}

/** `what` lies before the stream's begin. */
export async function removed(stream: Stream, what: string): Promise<FlotillaError> {
  const first = await notOvertaken(stream, () => locate(stream, stream.state.first.firstCounter));
  const there = first === undefined ? 'it has no event now' : `its first event is ${formatEventId(first.id)}`;
  return new FlotillaError('POSITION_REMOVED', `${what} is not kept any more: ${there}`);
}
