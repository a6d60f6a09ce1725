import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { FlotillaError } from '../base/index.js';
import { malformedMessage } from './decode.js';
import type { FieldSchema, MessageSchema, RepeatedMax } from './message-schema.js';

/** As deep as protobuf's own parsers go by default. */
const DEPTH_MAX = 100;
const VARINT_BYTES = 10;

/** A message, or a group, that is being walked through. */
interface Level {
  readonly schema: MessageSchema | undefined;
  readonly end: number;
  /** Number of the group's field; 0 for a message. */
  readonly group: number;
}

/**
 * Walks through the bytes of a message without making anything of them: the
 * generated decoder allocates as it goes, never looks whether a field ends within
 * its message, and takes a lone end of a group for the end of the message.
 *
 * Returns how many fields there are, nested ones included, or undefined where
 * there are more than `fieldsMax`, and then has not looked at the rest. Throws
 * INVALID_ARGUMENT for what a parser of protobuf must refuse, for more of a field
 * than its message may have, and for a number above 2^53 - 1, with its field's
 * name. Fields that the schema does not know are skipped, as protobuf demands.
 *
 * Takes as long as there are fields, however long these are.
 */
export function scanMessage(schema: MessageSchema, bytes: Uint8Array, fieldsMax: number): number | undefined {
  return new Scan(schema, bytes).run(fieldsMax);
}

/**
 * The last value of a number in the outermost message; 0 where it is absent. For messages that a scan has found to be
 * well-formed.
 */
export function varintOf(bytes: Uint8Array, field: number): bigint {
  const reader = new BinaryReader(bytes);
  let value = 0n;
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === field && type === WireType.Varint) value = BigInt(reader.uint64());
    else reader.skip(type, number);
  }
  return value;
}

class Scan {
  private readonly bytes: Uint8Array;
  private readonly outer: Level[] = [];
  private readonly counts = new Map<RepeatedMax, number>();
  private level: Level;
  private at = 0;

  constructor(schema: MessageSchema, bytes: Uint8Array) {
    this.bytes = bytes;
    this.level = { schema, end: bytes.byteLength, group: 0 };
  }

  run(fieldsMax: number): number | undefined {
    let fields = 0;
    while (true) {
      while (this.at === this.level.end) {
        if (this.level.group !== 0) throw malformedMessage(`the group of field ${this.level.group} has no end`);
        const outer = this.outer.pop();
        if (outer === undefined) return fields;
        this.level = outer;
      }
      if (++fields > fieldsMax) return undefined;
      this.field();
    }
  }

  private field(): void {
    const tag = this.varint32('a tag');
    const number = tag >>> 3;
    if (number === 0) throw malformedMessage('a field has the number 0');
    const field = this.level.schema?.fields[number];
    const type = tag & 7;
    switch (type) {
      case 0:
        this.varint64(field?.wireType === type ? field : undefined);
        return;
      case 1:
        this.skip(8, number);
        return;
      case 2:
        this.lengthDelimited(number, field?.wireType === type ? field : undefined);
        return;
      case 3:
        this.enter({ schema: undefined, end: this.level.end, group: number });
        return;
      case 4:
        this.leaveGroup(number);
        return;
      case 5:
        this.skip(4, number);
        return;
      default:
        throw malformedMessage(`field ${number} has the wire type ${type}, which is none`);
    }
  }

  private lengthDelimited(number: number, field: FieldSchema | undefined): void {
    const length = this.varint32('a length');
    if (length > this.level.end - this.at)
      throw malformedMessage(`field ${number} is longer than the message that it is in`);
    if (field?.max !== undefined) this.count(field.max);
    if (field?.message === undefined) this.at += length;
    else this.enter({ schema: field.message, end: this.at + length, group: 0 });
  }

  private count(max: RepeatedMax): void {
    const count = (this.counts.get(max) ?? 0) + 1;
    if (count > max.count) throw new FlotillaError('INVALID_ARGUMENT', max.refusal);
    this.counts.set(max, count);
  }

  private enter(level: Level): void {
    if (this.outer.length === DEPTH_MAX) throw malformedMessage(`messages are nested more than ${DEPTH_MAX} deep`);
    this.outer.push(this.level);
    this.level = level;
  }

  private leaveGroup(number: number): void {
    const outer = this.level.group === number ? this.outer.pop() : undefined;
    if (outer === undefined)
      throw malformedMessage(`the end of a group, field ${number}, stands where no such group began`);
    this.level = outer;
  }

  private skip(bytes: number, number: number): void {
    if (bytes > this.level.end - this.at)
      throw malformedMessage(`field ${number} is longer than the message that it is in`);
    this.at += bytes;
  }

  /** Tags and lengths: a value that takes more than 32 bits is none, whatever its lower bits are. */
  private varint32(what: string): number {
    const { bytes } = this;
    const { end } = this.level;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.at === end) throw malformedMessage(`it ends within ${what}`);
      const byte = bytes[this.at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
    }
    throw malformedMessage(`${what} takes more than 32 bits`);
  }

  private varint64(field: FieldSchema | undefined): void {
    const start = this.at;
    const end = Math.min(this.level.end, start + VARINT_BYTES);
    while (this.at < end) {
      if ((this.bytes[this.at++] ?? 0) >= 0x80) continue;
      // Below 2^49 in any case; most numbers end here.
      if (field?.wide === true && this.at - start > 7) this.checkWide(field, start);
      return;
    }
    throw malformedMessage(
      end === start + VARINT_BYTES ? `a number takes more than ${VARINT_BYTES} bytes` : 'it ends within a number',
    );
  }

  private checkWide(field: FieldSchema, start: number): void {
    let value = 0n;
    for (let at = start; at < this.at; at++) value |= BigInt((this.bytes[at] ?? 0) & 0x7f) << BigInt(7 * (at - start));
    const number = field.signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value);
    if (number >= Number.MIN_SAFE_INTEGER && (number <= Number.MAX_SAFE_INTEGER || field.saturates)) return;
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `${field.name}: ${number} is outside of what numbers may be here, ±(2^53 - 1)`,
    );
  }
}
