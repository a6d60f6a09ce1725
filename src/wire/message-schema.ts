import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { assert, LIMITS, present } from '../base/index.js';
import { filesOfDescriptorSet } from './descriptors.js';

/** What a scan has to know of a field: see `scanMessage`. */
export interface FieldSchema {
  readonly name: string;
  readonly wireType: WireType;
  /** A 64-bit varint, of which our numbers hold 53 bits. */
  readonly wide: boolean;
  readonly signed: boolean;
  /** A count of which more than 2^53 - 1 means as much as 2^53 - 1: no limit. */
  readonly saturates: boolean;
  /**
   * So many of them may stand in one request, wherever in it; undefined: as many as the bound on all fields lets
   * through.
   */
  readonly max: RepeatedMax | undefined;
  message: MessageSchema | undefined;
}

export interface MessageSchema {
  readonly name: string;
  /** The fields by their numbers, which are small. */
  readonly fields: (FieldSchema | undefined)[];
  /** Has a repeated number, which may come as one field for many: no request does. */
  packedNumbers: boolean;
}

export interface RepeatedMax {
  readonly count: number;
  readonly refusal: string;
}

/** What a batch may have; everything else that repeats is bounded by the number of fields in a message. */
const EVENTS: RepeatedMax = {
  count: LIMITS.eventsPerBatch,
  refusal: `events: there are more than the ${LIMITS.eventsPerBatch} that one batch may have`,
};
const METADATA: RepeatedMax = {
  count: LIMITS.metadataPairsPerBatch,
  refusal:
    `events: they have more than the ${LIMITS.metadataPairsPerBatch} pairs of metadata ` +
    'that one batch may have together',
};
const REPEATED_MAX: Readonly<Record<string, RepeatedMax>> = {
  'flotilla.v1.AppendRequest.events': EVENTS,
  'flotilla.v1.ProduceRequest.events': EVENTS,
  'flotilla.v1.NewEvent.metadata': METADATA,
};

const SATURATING: ReadonlySet<string> = new Set([
  'flotilla.v1.ReadRequest.limit',
  'flotilla.v1.ReadRequest.last',
  'flotilla.v1.ListNamespacesRequest.limit',
]);

/** Numbers that are text in the generated types, so that all 64 bits come through. */
const EXACT: ReadonlySet<string> = new Set(['flotilla.v1.ProduceRequest.request_id']);

/** FieldDescriptorProto.Type by number, as the wire has it. */
const WIRE_TYPES: readonly (WireType | undefined)[] = [
  undefined,
  WireType.Bit64,
  WireType.Bit32,
  WireType.Varint,
  WireType.Varint,
  WireType.Varint,
  WireType.Bit64,
  WireType.Bit32,
  WireType.Varint,
  WireType.LengthDelimited,
  undefined,
  WireType.LengthDelimited,
  WireType.LengthDelimited,
  WireType.Varint,
  WireType.Varint,
  WireType.Bit32,
  WireType.Bit64,
  WireType.Varint,
  WireType.Varint,
];
const INT64 = 3;
const UINT64 = 4;
const REPEATED = 3;

interface FoundField {
  readonly typeName: string;
  readonly field: FieldSchema;
}

/** The requests of all methods in a compiled FileDescriptorSet, by path, such as `/flotilla.v1.EventService/Append`. */
export function requestSchemas(descriptorSet: Uint8Array): ReadonlyMap<string, MessageSchema> {
  const messages = new Map<string, MessageSchema>();
  const methods = new Map<string, string>();
  const nested: FoundField[] = [];
  for (const file of filesOfDescriptorSet(descriptorSet)) readFile(file, messages, methods, nested);
  for (const { field, typeName } of nested) field.message = present(messages.get(typeName), typeName);
  return new Map([...methods].map(([path, type]) => [path, present(messages.get(type), type)]));
}

function readFile(
  bytes: Uint8Array,
  messages: Map<string, MessageSchema>,
  methods: Map<string, string>,
  nested: FoundField[],
): void {
  const file = fieldsOf(bytes);
  const scope = `.${textOf(file, 2)}`;
  for (const message of bytesOf(file, 4)) readMessage(message, scope, messages, nested);
  for (const service of bytesOf(file, 6).map(fieldsOf)) {
    for (const method of bytesOf(service, 2).map(fieldsOf)) {
      methods.set(`/${scope.slice(1)}.${textOf(service, 1)}/${textOf(method, 1)}`, textOf(method, 2));
    }
  }
}

function readMessage(
  bytes: Uint8Array,
  scope: string,
  messages: Map<string, MessageSchema>,
  nested: FoundField[],
): void {
  const descriptor = fieldsOf(bytes);
  const path = `${scope}.${textOf(descriptor, 1)}`;
  const message: MessageSchema = { name: path.slice(1), fields: [], packedNumbers: false };
  messages.set(path, message);
  for (const field of bytesOf(descriptor, 2).map(fieldsOf)) readField(field, message, nested);
  for (const inner of bytesOf(descriptor, 3)) readMessage(inner, path, messages, nested);
}

function readField(descriptor: Fields, message: MessageSchema, nested: FoundField[]): void {
  const name = textOf(descriptor, 1);
  const type = numberOf(descriptor, 5);
  const wireType = present(WIRE_TYPES[type], `${message.name}.${name} is of a type that no field of ours has`);
  const path = `${message.name}.${name}`;
  const field: FieldSchema = {
    name,
    wireType,
    wide: (type === INT64 || type === UINT64) && !EXACT.has(path),
    signed: type === INT64,
    saturates: SATURATING.has(path),
    max: REPEATED_MAX[path],
    message: undefined,
  };
  message.fields[numberOf(descriptor, 3)] = field;
  const typeName = textOf(descriptor, 6);
  if (wireType === WireType.LengthDelimited && typeName !== '') nested.push({ field, typeName });
  // A request of such would let many numbers through as one field; no request has any.
  if (numberOf(descriptor, 4) === REPEATED && wireType !== WireType.LengthDelimited) message.packedNumbers = true;
}

type Fields = ReadonlyMap<number, readonly (number | Uint8Array)[]>;

/** The fields of a descriptor, of those kinds that are read here. */
function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, (number | Uint8Array)[]>();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const values = fields.get(number) ?? [];
    fields.set(number, values);
    if (type === WireType.LengthDelimited) values.push(reader.bytes());
    else if (type === WireType.Varint) values.push(reader.uint32());
    else reader.skip(type);
  }
  return fields;
}

function bytesOf(fields: Fields, number: number): Uint8Array[] {
  return (fields.get(number) ?? []).filter((value) => typeof value !== 'number');
}

function textOf(fields: Fields, number: number): string {
  return bytesOf(fields, number)
    .map((bytes) => Buffer.from(bytes).toString('utf8'))
    .join('');
}

function numberOf(fields: Fields, number: number): number {
  const value = fields.get(number)?.at(-1);
  assert(typeof value === 'number', `a descriptor lacks its field ${number}`);
  return value;
}
