import { counter, FlotillaError, messageOf } from '../base/index.js';
import { type Event, type Glob, isSystemNamespace, type StoredBatch } from '../event/index.js';
import { type BodyReader, openBody } from './batch-body.js';

/** The last time that a Date can show. */
export const LATEST_TIMESTAMP_MS = 8.64e15;

/** Which events of a batch a reader gets: positions count from 0, ascending. */
export type Selection = 'all' | 'none' | readonly number[];

/** Opens the body of a stored batch. Throws DATA_LOSS where the batch isn't what a leader stamped. */
export function openStoredBatch(batch: StoredBatch): BodyReader {
  const { header } = batch;
  if (header.flags !== 0) {
    throw new FlotillaError('FOREIGN_NODE', `a batch has flags ${header.flags}, which this version does not know: use a newer Flotilla`);
  }
  let reader: BodyReader;
  try {
    reader = openBody(batch.body);
  } catch (error) {
    throw damaged(batch, messageOf(error), error);
  }
  if (reader.count !== header.count) throw damaged(batch, `its header tells of ${header.count} events, its body of ${reader.count}`);
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
  beforeCounter: number = Number.POSITIVE_INFINITY,
): Selection {
  const { baseCounter, count } = batch.header;
  const first = Math.max(0, afterCounter - baseCounter + 1);
  const end = Math.min(count, beforeCounter - baseCounter);
  if (first >= end) return 'none';
  const reader = openStoredBatch(batch);
  const wanted = glob.everything
    ? reader.namespaces.map((namespace) => !isSystemNamespace(namespace))
    : reader.namespaces.map((namespace) => glob.matches(namespace));
  if (!wanted.includes(true)) return 'none';
  if (first === 0 && end === count && !wanted.includes(false)) return 'all';
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
    for (let position = 0; position < reader.count; position++) events.push(eventAt(batch, reader, position));
  } else {
    for (const position of selection) events.push(eventAt(batch, reader, position));
  }
  return events;
}

function eventAt({ header }: StoredBatch, reader: BodyReader, position: number): Event {
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
  return new FlotillaError('DATA_LOSS', `the batch at counter ${batch.header.baseCounter} is damaged: ${why}`, { cause });
}
