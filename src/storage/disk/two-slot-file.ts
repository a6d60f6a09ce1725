import { crc32 } from 'node:zlib';
import { assert, FlotillaError, readUint64, viewOf, writeUint64 } from '../../base/index.js';
import type { Disk, DiskFile } from './disk.js';

/**
 * A few bytes that change often and must never be lost: a preallocated file of
 * two slots, written in place. A crash tears at most the slot that was being
 * written, and the other one stands.
 *
 * Slots begin at bytes 0 and 4096, so that they never share a sector. Layout of
 * a slot, little-endian:
 *
 *     offset  size
 *          0     2  format, 1
 *          2     2  length of the payload
 *          4     4  0
 *          8     8  sequence: the valid slot with the greater one is the newer
 *         16        payload
 *         then  4   CRC-32 over everything before
 */
const SLOT_FORMAT = 1;
const SLOT_HEADER_BYTES = 16;
const SLOT_SPACING_BYTES = 4096;
const FILE_BYTES = 2 * SLOT_SPACING_BYTES;

type SlotNumber = 0 | 1;

interface Slot {
  readonly sequence: number;
  readonly payload: Uint8Array;
}

export class TwoSlotFile {
  private readonly file: DiskFile;
  private sequence: number;
  /** The slot that is on disk. It is not written again before the other one is, so a crash finds it whole. */
  private durable: SlotNumber;
  private unsyncedWrites = 0;
  /** What the newest valid slot held when the file was opened. */
  readonly recovered: Uint8Array;
  /** Whether both slots held the same when the file was opened. */
  readonly agreed: boolean;

  private constructor(file: DiskFile, newest: SlotNumber, slot: Slot, agreed: boolean) {
    this.file = file;
    this.durable = newest;
    this.sequence = slot.sequence;
    this.recovered = slot.payload;
    this.agreed = agreed;
  }

  /** Makes the file, fsynced, with both slots alike. The caller syncs the directory. */
  static async create(disk: Disk, path: string, payload: Uint8Array): Promise<void> {
    const content = Buffer.alloc(FILE_BYTES);
    const slot = encodeSlot(1, payload);
    content.set(slot, 0);
    content.set(slot, SLOT_SPACING_BYTES);
    await disk.writeFile(path, content);
  }

  /** Throws DATA_LOSS where the file is missing or neither slot is valid. */
  static async open(disk: Disk, path: string): Promise<TwoSlotFile> {
    const file = await disk.openFile(path);
    if (file === undefined) throw new FlotillaError('DATA_LOSS', `${path} is missing`);
    try {
      const content = await file.read(FILE_BYTES);
      const first = decodeSlot(content.subarray(0, SLOT_SPACING_BYTES));
      const second = decodeSlot(content.subarray(SLOT_SPACING_BYTES));
      if (first !== undefined && (second === undefined || first.sequence >= second.sequence)) {
        return new TwoSlotFile(file, 0, first, first.sequence === second?.sequence);
      }
      if (second !== undefined) return new TwoSlotFile(file, 1, second, false);
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    throw new FlotillaError('DATA_LOSS', `${path} is damaged: neither of its two slots is valid`);
  }

  /**
   * Overwrites the slot that is not {@link durable}, and makes it so. Damage to it
   * then rolls the content back by one write; use it where that is harmless. One
   * write at a time.
   */
  async writeOlder(payload: Uint8Array): Promise<void> {
    this.note(payload);
    await this.sync();
  }

  /** Overwrites both slots in turn, each durable before the next: afterwards no single damage can roll it back. */
  async writeBoth(payload: Uint8Array): Promise<void> {
    await this.writeOlder(payload);
    this.writeSlot(other(this.durable), encodeSlot(this.sequence, payload));
    await this.file.sync();
  }

  /**
   * Hands the content to the operating system and returns: it survives the end
   * of this process, and with the next {@link sync} a power cut. Until then each
   * further note goes to the same slot.
   */
  note(payload: Uint8Array): void {
    this.sequence++;
    this.unsyncedWrites++;
    this.writeSlot(other(this.durable), encodeSlot(this.sequence, payload));
  }

  /** Resolves when everything noted before is on disk. */
  async sync(): Promise<void> {
    const covered = this.unsyncedWrites;
    if (covered === 0) return;
    await this.file.sync();
    // What was noted meanwhile may be half way to the disk; the slots change places when a sync finds no such thing.
    if (this.unsyncedWrites !== covered) return;
    this.unsyncedWrites = 0;
    this.durable = other(this.durable);
  }

  get isSynced(): boolean {
    return this.unsyncedWrites === 0;
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  private writeSlot(number: SlotNumber, slot: Uint8Array): void {
    this.file.write(slot, number * SLOT_SPACING_BYTES);
  }
}

/** What is in such a file, read without being able to write to it. */
export interface SlotsOnDisk {
  /** Payload of the newest valid slot; undefined where neither is valid. */
  readonly newest: Uint8Array | undefined;
  /** The slots that are not valid: 0, 1. */
  readonly damaged: readonly number[];
}

/** Undefined where there is no such file. */
export async function readSlots(disk: Disk, path: string): Promise<SlotsOnDisk | undefined> {
  const content = await disk.readFile(path);
  if (content === undefined) return undefined;
  const slots = [decodeSlot(content.subarray(0, SLOT_SPACING_BYTES)), decodeSlot(content.subarray(SLOT_SPACING_BYTES))];
  const valid = slots.filter((slot) => slot !== undefined).sort((a, b) => b.sequence - a.sequence);
  return { newest: valid[0]?.payload, damaged: [0, 1].filter((number) => slots[number] === undefined) };
}

function other(slot: SlotNumber): SlotNumber {
  return slot === 0 ? 1 : 0;
}

function encodeSlot(sequence: number, payload: Uint8Array): Buffer {
  const end = SLOT_HEADER_BYTES + payload.byteLength;
  assert(end + 4 <= 512, 'a slot must fit into one sector, so that it is written whole');
  const slot = Buffer.alloc(end + 4);
  const view = viewOf(slot);
  view.setUint16(0, SLOT_FORMAT, true);
  view.setUint16(2, payload.byteLength, true);
  writeUint64(view, 8, sequence);
  slot.set(payload, SLOT_HEADER_BYTES);
  view.setUint32(end, crc32(slot.subarray(0, end)), true);
  return slot;
}

function decodeSlot(bytes: Uint8Array): Slot | undefined {
  if (bytes.byteLength < SLOT_HEADER_BYTES + 4) return undefined;
  const view = viewOf(bytes);
  const end = SLOT_HEADER_BYTES + view.getUint16(2, true);
  if (end + 4 > bytes.byteLength || view.getUint32(end, true) !== crc32(bytes.subarray(0, end))) return undefined;
  const format = view.getUint16(0, true);
  // Damage would not have left the checksum right.
  if (format !== SLOT_FORMAT) {
    throw new FlotillaError(
      'FOREIGN_NODE',
      `a two-slot file has format ${format}; this version reads format ${SLOT_FORMAT}: use the Flotilla that ` +
        'wrote it, or a newer one',
    );
  }
  return { sequence: readUint64(view, 8), payload: bytes.subarray(SLOT_HEADER_BYTES, end) };
}
