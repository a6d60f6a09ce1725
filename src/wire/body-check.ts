import { crc32 } from 'node:zlib';
import { FlotillaError } from '../base/index.js';
import { checkAttributes, checkDataSize, type EventLimits, namespaceProblem } from '../event/index.js';
import { type BodyReader, openBody, type TextColumn } from './batch-body.js';
import { malformed } from './body-cursor.js';
import type { PackedBody } from './packed-body.js';

/**
 * Checks a packed body where it enters from a client: afterwards it is as good
 * as one that this node packed itself from events that passed `checkNewEvent`,
 * byte for byte. Throws INVALID_ARGUMENT, or MESSAGE_TOO_LARGE for an event's data.
 */
export function checkPackedBody(packed: PackedBody, limits: EventLimits): void {
  const checksum = crc32(packed.body);
  if (checksum !== packed.checksum) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `packed.checksum: it is ${packed.checksum}, but the body's CRC-32 is ${checksum}`,
    );
  }
  const reader = openBody(packed.body);
  if (reader.count !== packed.count) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `packed.count: it is ${packed.count}, but the body has ${reader.count} events`,
    );
  }
  checkNamespaces(reader);
  checkData(reader, limits);
  checkOptionalTexts(reader.typeColumn, reader.count, 'types');
  checkOptionalTexts(reader.contentTypeColumn, reader.count, 'content types');
  checkParents(reader);
  checkMetadata(reader);
  if (reader.typeColumn !== undefined || reader.contentTypeColumn !== undefined || reader.hasMetadata)
    checkEachAttributes(reader);
}

function checkNamespaces(reader: BodyReader): void {
  checkOrder(reader.namespaceColumn, reader.count, 'namespaces');
  for (const [index, namespace] of reader.namespaces.entries()) {
    const problem = namespaceProblem(namespace);
    if (problem !== undefined)
      throw new FlotillaError('INVALID_ARGUMENT', `events[${firstWith(reader, index)}].namespace: ${problem}`);
  }
}

function firstWith(reader: BodyReader, namespaceIndex: number): number {
  let position = 0;
  while (reader.namespaceIndexOf(position) !== namespaceIndex) position++;
  return position;
}

function checkData(reader: BodyReader, limits: EventLimits): void {
  if (reader.uniformLength !== undefined) {
    checkDataSize(reader.uniformLength, limits, 'events[0]');
    return;
  }
  const first = reader.dataLengthOf(0);
  let uniform = true;
  for (let position = 0; position < reader.count; position++) {
    const length = reader.dataLengthOf(position);
    if (length !== first) uniform = false;
    if (length > limits.eventDataBytes) checkDataSize(length, limits, `events[${position}]`);
  }
  if (uniform) throw malformed('data lengths are all the same and not written as one number');
}

/**
 * Distinct texts must be that, used, and in the order of their first appearance: there is one way to write a column.
 */
function checkOrder(column: TextColumn, count: number, what: string): void {
  const { distinct, index } = column;
  if (index === undefined) return;
  let seen = 0;
  for (let position = 0; position < count; position++) {
    const text = index[position] ?? 0;
    if (text > seen) throw malformed(`${what} are not in the order of their first appearance`);
    if (text === seen) seen++;
  }
  if (seen !== distinct.length) throw malformed(`${what} have texts that no event uses`);
  if (new Set(distinct).size !== distinct.length) throw malformed(`${what} have the same text twice`);
}

function checkOptionalTexts(column: TextColumn | undefined, count: number, what: string): void {
  if (column === undefined) return;
  if (column.distinct.length === 1 && column.distinct[0] === '') throw malformed(`${what} are a column without any`);
  checkOrder(column, count, what);
}

function checkParents(reader: BodyReader): void {
  if (!reader.hasParents) return;
  for (let position = 0; position < reader.count; position++) if (reader.parentOf(position) !== undefined) return;
  throw malformed('parents are a column without any');
}

function checkMetadata(reader: BodyReader): void {
  if (!reader.hasMetadata) return;
  let some = false;
  for (let position = 0; position < reader.count; position++) {
    const pairs = reader.metadataPairsOf(position);
    if (pairs === undefined) continue;
    some = true;
    for (let at = 2; at < pairs.length; at += 2) {
      if ((pairs[at - 2] ?? '') >= (pairs[at] ?? ''))
        throw malformed(`metadata of event ${position} is not sorted by key, each once`);
    }
  }
  if (!some) throw malformed('metadata is a column without any');
}

function checkEachAttributes(reader: BodyReader): void {
  // Without metadata most events repeat a few pairs of type and content type.
  const checked = new Set<number>();
  for (let position = 0; position < reader.count; position++) {
    const metadata = reader.metadataOf(position);
    const pair = indexAt(reader.typeColumn, position) * 2 ** 16 + indexAt(reader.contentTypeColumn, position);
    if (metadata === undefined && checked.has(pair)) continue;
    checkAttributes(
      { type: reader.typeOf(position), contentType: reader.contentTypeOf(position), metadata },
      `events[${position}]`,
    );
    checked.add(pair);
  }
}

function indexAt(column: TextColumn | undefined, position: number): number {
  return column?.index?.[position] ?? 0;
}
