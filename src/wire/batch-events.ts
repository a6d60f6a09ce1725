import { counter, FlotillaError, messageOf, type Work } from '../base/index.js';
import type { Event, Glob, StoredBatch } from '../event/index.js';
import { type BodyReader, openBody, openingBody } from './batch-body.js';

/** The last time that a Date can show. */
export const LATEST_TIMESTAMP_MS = 8.64e15;

/** Which events of a batch a reader gets: positions count from 0, ascending. */
export type Selection = 'all' | 'none' | readonly number[];

/** Opens the body of a stored batch. Throws DATA_LOSS where the batch isn't what a leader stamped. */
export function openStoredBatch(batch: StoredBatch): BodyReader {
  requireKnownFlags(batch);
  let reader: BodyReader;
  try {
    reader = openBody(batch.body);
  } catch (error) {
    throw damaged(batch, messageOf(error), error);
  }
  return requireFit(batch, reader);
}

/** {@link openStoredBatch}, with places to interrupt it. */
export function* openingStoredBatch(batch: StoredBatch): Work<BodyReader> {
  requireKnownFlags(batch);
  let reader: BodyReader;
  try {
    reader = yield* openingBody(batch.body);
  } catch (error) {
    throw damaged(batch, messageOf(error), error);
  }
  return requireFit(batch, reader);
}

function requireKnownFlags({ header: { flags } }: StoredBatch): void {
  if (flags === 0) return;
  throw new FlotillaError(
    'FOREIGN_NODE',
    `a batch has flags ${flags}, which this version does not know: use a newer Flotilla`,
  );
}

function requireFit(batch: StoredBatch, reader: BodyReader): BodyReader {
  const { header } = batch;
  if (reader.count !== header.count)
    throw damaged(batch, `its header tells of ${header.count} events, its body of ${reader.count}`);
  if (header.timestampMs > LATEST_TIMESTAMP_MS) throw damaged(batch, `its time is ${header.timestampMs}`);
  return reader;
}

/**
 * Which events of a batch come after `afterCounter`, before `beforeCounter`,
 * and have a namespace that `glob` matches. The glob is asked once per distinct
 * namespace.
 */
export function selectEvents(
  batch: StoredBatch,
  glob: Glob,
  afterCounter: number,
  beforeCounter = Number.POSITIVE_INFINITY,
): Selection {
  const range = positionsBetween(batch, afterCounter, beforeCounter);
  if (range === undefined) return 'none';
  const reader = openStoredBatch(batch);
  return selectionOf(
    reader,
    range,
    reader.namespaces.map((namespace) => glob.matches(namespace)),
  );
}

/**
 * {@link selectEvents}, with places to interrupt it: a batch may have as many namespaces as events, and each may be
 * long.
 */
export function* selectingEvents(
  batch: StoredBatch,
  glob: Glob,
  afterCounter: number,
  beforeCounter: number,
): Work<Selection> {
  const range = positionsBetween(batch, afterCounter, beforeCounter);
  if (range === undefined) return 'none';
  const reader = yield* openingStoredBatch(batch);
  return selectionOf(reader, range, yield* matching(reader.namespaces, glob));
}

/** So many names are matched without an interruption: the longest against the worst pattern take some milliseconds. */
const NAMES_AT_ONCE = 16;

/** Whether the glob takes each of the names. */
function* matching(names: readonly string[], glob: Glob): Work<boolean[]> {
  const wanted: boolean[] = [];
  for (const name of names) {
    wanted.push(glob.matches(name));
    if (wanted.length % NAMES_AT_ONCE === 0) yield;
  }
  return wanted;
}

interface PositionRange {
  readonly first: number;
  /** Position behind the last event. */
  readonly end: number;
}

function positionsBetween(
  { header }: StoredBatch,
  afterCounter: number,
  beforeCounter: number,
): PositionRange | undefined {
  const first = Math.max(0, afterCounter - header.baseCounter + 1);
  const end = Math.min(header.count, beforeCounter - header.baseCounter);
  return first < end ? { first, end } : undefined;
}

/** `wanted`: per distinct namespace. */
function selectionOf(reader: BodyReader, { first, end }: PositionRange, wanted: readonly boolean[]): Selection {
  if (!wanted.includes(true)) return 'none';
  if (first === 0 && end === reader.count && !wanted.includes(false)) return 'all';
  const positions: number[] = [];
  for (let position = first; position < end; position++) {
    if (wanted[reader.namespaceIndexOf(position)]) positions.push(position);
  }
  return positions.length === 0 ? 'none' : positions;
}

/** Decodes a stored batch, or what was selected of it. Data are views of the batch's bytes. */
export function eventsOf(batch: StoredBatch, selection: Selection = 'all'): Event[] {
  if (selection === 'none') return [];
  const reader = openStoredBatch(batch);
  const events: Event[] = [];
  if (selection === 'all') {
    for (let position = 0; position < reader.count; position++) events.push(eventIn(batch, reader, position));
  } else {
    for (const position of selection) events.push(eventIn(batch, reader, position));
  }
  return events;
}

/** One event of an opened batch. */
export function eventIn({ header }: StoredBatch, reader: BodyReader, position: number): Event {
  return {
    id: { counter: counter(header.baseCounter + position), actor: header.actor },
    parentId: reader.parentOf(position),
    namespace: reader.namespaceOf(position),
    timestampMs: header.timestampMs,
    data: reader.dataOf(position),
    type: reader.typeOf(position),
    contentType: reader.contentTypeOf(position),
    metadata: reader.metadataOf(position),
  };
}

function damaged(batch: StoredBatch, why: string, cause?: unknown): FlotillaError {
  return new FlotillaError('DATA_LOSS', `the batch at counter ${batch.header.baseCounter} is damaged: ${why}`, {
    cause,
  });
}
