import { actorId, counter, finish, LIMITS, present, readUint64, viewOf, type Work } from '../base/index.js';
import type { EventId } from '../event/index.js';
import { BodyCursor, malformed } from './body-cursor.js';
import { BODY_COLUMNS, BODY_VERSION, PARENT_BYTES } from './body-format.js';

/** Texts of which most are alike: the distinct ones, and which of them each event has. */
export interface TextColumn {
  readonly distinct: readonly string[];
  /** Undefined where there is one distinct text. */
  readonly index: Uint8Array | Uint16Array | undefined;
}

/** The events of an encoded body, each read at its place when it is asked for. Positions count from 0. */
export interface BodyReader {
  readonly count: number;
  readonly namespaceColumn: TextColumn;
  /** The distinct namespaces, in the order of their first appearance. */
  readonly namespaces: readonly string[];
  readonly typeColumn: TextColumn | undefined;
  readonly contentTypeColumn: TextColumn | undefined;
  readonly hasParents: boolean;
  readonly hasMetadata: boolean;
  /** What all events' data measures, where it is the same and was written once. */
  readonly uniformLength: number | undefined;
  namespaceOf(position: number): string;
  /** Position in `namespaces`. */
  namespaceIndexOf(position: number): number;
  dataLengthOf(position: number): number;
  /** A view, no copy. */
  dataOf(position: number): Uint8Array;
  parentOf(position: number): EventId | undefined;
  typeOf(position: number): string | undefined;
  contentTypeOf(position: number): string | undefined;
  /** Keys and values in turn. */
  metadataPairsOf(position: number): readonly string[] | undefined;
  metadataOf(position: number): ReadonlyMap<string, string> | undefined;
}

/**
 * Opens a body and checks its whole structure, so that no later read can fail.
 * Throws INVALID_ARGUMENT, whatever the bytes. What the columns say is the
 * business of `checkPackedBody`, where a body enters.
 */
export function openBody(body: Uint8Array): BodyReader {
  return finish(openingBody(body));
}

/** {@link openBody}, with places to interrupt it. */
export function* openingBody(body: Uint8Array): Work<BodyReader> {
  const cursor = new BodyCursor(body);
  if (cursor.array('it', BODY_COLUMNS) !== BODY_COLUMNS) throw malformed(`it does not have ${BODY_COLUMNS} columns`);
  const version = cursor.number('version');
  if (version !== BODY_VERSION)
    throw malformed(`it has version ${version}, and this is known of version ${BODY_VERSION} only`);
  const count = cursor.number('count');
  if (count < 1 || count > LIMITS.eventsPerBatch)
    throw malformed(`it has ${count} events, where 1 to ${LIMITS.eventsPerBatch} may be`);
  const namespaces = readTexts(cursor, count, 'namespaces');
  while (readMore(namespaces, cursor)) yield;
  const { offsets, uniformLength } = readLengths(cursor, count);
  const data = cursor.binary('data');
  const dataBytes = uniformLength === undefined ? (offsets?.[count] ?? 0) : uniformLength * count;
  if (data.byteLength !== dataBytes)
    throw malformed(`it has ${data.byteLength} bytes of data where the lengths add up to ${dataBytes}`);
  const parents = readParents(cursor, count);
  const types = readOptionalTexts(cursor, count, 'types');
  while (readMore(types, cursor)) yield;
  const contentTypes = readOptionalTexts(cursor, count, 'content types');
  while (readMore(contentTypes, cursor)) yield;
  const metadata = cursor.skipNil() ? undefined : yield* readMetadata(cursor, count);
  cursor.end();
  return new Columns({
    count,
    namespaces: columnOf(namespaces),
    offsets,
    uniformLength,
    data,
    parents,
    types: types && columnOf(types),
    contentTypes: contentTypes && columnOf(contentTypes),
    metadata,
  });
}

/** So many texts are read without an interruption. */
const TEXTS_AT_ONCE = 256;

/** A column of which the first texts have been read. */
interface UnreadTexts {
  readonly what: string;
  /** Number of events. */
  readonly count: number;
  /** Number of texts. */
  readonly length: number;
  readonly distinct: string[];
  index: TextColumn['index'];
}

function readTexts(cursor: BodyCursor, count: number, what: string): UnreadTexts {
  const length = cursor.array(what, count);
  if (length === 0) throw malformed(`${what} is empty`);
  return { what, count, length, distinct: [], index: undefined };
}

/** Reads some texts, and the index behind the last; whether there are more. */
function readMore(texts: UnreadTexts | undefined, cursor: BodyCursor): boolean {
  if (texts === undefined) return false;
  const { what, count, length, distinct } = texts;
  const end = Math.min(length, distinct.length + TEXTS_AT_ONCE);
  while (distinct.length < end) distinct.push(cursor.text(what));
  if (end < length) return true;
  texts.index = length === 1 ? readNoIndex(cursor, what) : readIndex(cursor, count, length, what);
  return false;
}

function columnOf({ distinct, index }: UnreadTexts): TextColumn {
  return { distinct, index };
}

function readNoIndex(cursor: BodyCursor, what: string): undefined {
  if (!cursor.skipNil()) throw malformed(`${what} has one distinct text and an index`);
  return undefined;
}

function readIndex(cursor: BodyCursor, count: number, distinct: number, what: string): Uint8Array | Uint16Array {
  const column = cursor.binary(`index of ${what}`);
  const width = distinct <= 2 ** 8 ? 1 : 2;
  if (column.byteLength !== count * width)
    throw malformed(`index of ${what} has ${column.byteLength} bytes for ${count} events`);
  const index = width === 1 ? column : readUint16s(column, count);
  let max = 0;
  for (let at = 0; at < count; at++) max = Math.max(max, index[at] ?? 0);
  if (max >= distinct) throw malformed(`index of ${what} points to text ${max} of ${distinct}`);
  return index;
}

/** Columns stand at odd offsets: a typed array over them isn't possible. */
function readUint16s(column: Uint8Array, count: number): Uint16Array {
  const values = new Uint16Array(count);
  const view = viewOf(column);
  for (let at = 0; at < count; at++) values[at] = view.getUint16(at * 2, true);
  return values;
}

/** Either one length for all, or where each event's data begins and, at `count`, ends. */
function readLengths(
  cursor: BodyCursor,
  count: number,
): { offsets: Float64Array | undefined; uniformLength: number | undefined } {
  if (!cursor.nextIsBinary()) return { offsets: undefined, uniformLength: cursor.number('data lengths') };
  const column = cursor.binary('data lengths');
  if (column.byteLength !== count * 4)
    throw malformed(`data lengths have ${column.byteLength} bytes for ${count} events`);
  const view = viewOf(column);
  // Not 32 bits: the sum of a hostile column must not wrap around to the right one.
  const offsets = new Float64Array(count + 1);
  let offset = 0;
  for (let at = 0; at < count; at++) {
    offset += view.getUint32(at * 4, true);
    offsets[at + 1] = offset;
  }
  return { offsets, uniformLength: undefined };
}

function readParents(cursor: BodyCursor, count: number): DataView | undefined {
  if (cursor.skipNil()) return undefined;
  const column = cursor.binary('parents');
  if (column.byteLength !== count * PARENT_BYTES)
    throw malformed(`parents have ${column.byteLength} bytes for ${count} events`);
  const view = viewOf(column);
  for (let at = 0; at < column.byteLength; at += PARENT_BYTES) {
    const counterValue = readUint64(view, at);
    const actorValue = view.getUint16(at + 8, true);
    if (counterValue > LIMITS.counterMax || (counterValue === 0) !== (actorValue === 0)) {
      throw malformed(
        `the parent of event ${at / PARENT_BYTES} is ${counterValue}.${actorValue}, which is not an event id`,
      );
    }
  }
  return view;
}

function readOptionalTexts(cursor: BodyCursor, count: number, what: string): UnreadTexts | undefined {
  if (cursor.skipNil()) return undefined;
  if (cursor.array(what, 2) !== 2) throw malformed(`${what} is not a pair`);
  return readTexts(cursor, count, what);
}

type Metadata = readonly (readonly string[] | undefined)[];

function* readMetadata(cursor: BodyCursor, count: number): Work<Metadata> {
  if (cursor.array('metadata', count) !== count) throw malformed(`metadata is not that of ${count} events`);
  const events: (readonly string[] | undefined)[] = [];
  let texts = 0;
  for (let at = 0; at < count; at++) {
    const pairs = cursor.skipNil() ? undefined : readPairs(cursor);
    events.push(pairs);
    texts += 1 + (pairs?.length ?? 0);
    if (texts < TEXTS_AT_ONCE) continue;
    texts = 0;
    yield;
  }
  return events;
}

function readPairs(cursor: BodyCursor): readonly string[] {
  // Every pair but one has a key of at least one byte, so this is more than the attributes of an event can hold.
  const length = cursor.array('metadata', 2 * (LIMITS.attributeBytes + 1));
  if (length === 0 || length % 2 !== 0) throw malformed(`metadata of an event has ${length} keys and values`);
  const pairs: string[] = [];
  for (let at = 0; at < length; at++) pairs.push(cursor.text('metadata'));
  return pairs;
}

interface ColumnValues {
  readonly count: number;
  readonly namespaces: TextColumn;
  readonly offsets: Float64Array | undefined;
  readonly uniformLength: number | undefined;
  readonly data: Buffer;
  readonly parents: DataView | undefined;
  readonly types: TextColumn | undefined;
  readonly contentTypes: TextColumn | undefined;
  readonly metadata: Metadata | undefined;
}

class Columns implements BodyReader {
  readonly count: number;
  readonly namespaceColumn: TextColumn;
  readonly typeColumn: TextColumn | undefined;
  readonly contentTypeColumn: TextColumn | undefined;
  readonly uniformLength: number | undefined;
  private readonly offsets: Float64Array | undefined;
  private readonly data: Buffer;
  private readonly parents: DataView | undefined;
  private readonly metadata: Metadata | undefined;

  constructor(values: ColumnValues) {
    this.count = values.count;
    this.namespaceColumn = values.namespaces;
    this.typeColumn = values.types;
    this.contentTypeColumn = values.contentTypes;
    this.uniformLength = values.uniformLength;
    this.offsets = values.offsets;
    this.data = values.data;
    this.parents = values.parents;
    this.metadata = values.metadata;
  }

  get namespaces(): readonly string[] {
    return this.namespaceColumn.distinct;
  }

  get hasParents(): boolean {
    return this.parents !== undefined;
  }

  get hasMetadata(): boolean {
    return this.metadata !== undefined;
  }

  namespaceOf(position: number): string {
    return textAt(this.namespaceColumn, position);
  }

  namespaceIndexOf(position: number): number {
    return this.namespaceColumn.index?.[position] ?? 0;
  }

  dataLengthOf(position: number): number {
    return this.uniformLength ?? this.offsetOf(position + 1) - this.offsetOf(position);
  }

  dataOf(position: number): Uint8Array {
    const { buffer, byteOffset } = this.data;
    // A third of the time that subarray takes, which is what decoding consists of.
    return new Uint8Array(buffer, byteOffset + this.offsetOf(position), this.dataLengthOf(position));
  }

  parentOf(position: number): EventId | undefined {
    if (this.parents === undefined) return undefined;
    const value = readUint64(this.parents, position * PARENT_BYTES);
    if (value === 0) return undefined;
    return { counter: counter(value), actor: actorId(this.parents.getUint16(position * PARENT_BYTES + 8, true)) };
  }

  typeOf(position: number): string | undefined {
    return this.typeColumn === undefined ? undefined : textAt(this.typeColumn, position) || undefined;
  }

  contentTypeOf(position: number): string | undefined {
    return this.contentTypeColumn === undefined ? undefined : textAt(this.contentTypeColumn, position) || undefined;
  }

  metadataPairsOf(position: number): readonly string[] | undefined {
    return this.metadata?.[position];
  }

  metadataOf(position: number): ReadonlyMap<string, string> | undefined {
    const pairs = this.metadata?.[position];
    if (pairs === undefined) return undefined;
    const metadata = new Map<string, string>();
    for (let at = 0; at < pairs.length; at += 2) metadata.set(pairs[at] ?? '', pairs[at + 1] ?? '');
    return metadata;
  }

  private offsetOf(position: number): number {
    return this.uniformLength === undefined ? (this.offsets?.[position] ?? 0) : this.uniformLength * position;
  }
}

function textAt(column: TextColumn, position: number): string {
  return present(column.distinct[column.index?.[position] ?? 0], 'the index was checked when the body was opened');
}
