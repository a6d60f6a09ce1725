import { present, type Random } from '../base/index.js';
import type { DatabaseEntry } from '../storage/index.js';

/** One batch in the write-ahead log: whole or not there. */
export interface LoggedBatch {
  readonly deleteFrom: number;
  readonly deleteTo: number;
  readonly entries: readonly DatabaseEntry[];
}

/**
 * LevelDB as it was measured: a write-ahead log of batches, which opening turns
 * into tables, and no check of either that would notice damage.
 */
export class SimulatedDatabase {
  readonly kind = 'database';
  /** Without `CURRENT` it is no database: its making was interrupted, or the file is gone. */
  hasCurrent = false;
  readonly tables = new Map<number, Uint8Array>();
  log: LoggedBatch[] = [];
  private syncedBatches = 0;

  get isEmpty(): boolean {
    return this.tables.size === 0 && this.log.length === 0;
  }

  append(batch: LoggedBatch): void {
    this.log.push(batch);
  }

  sync(): void {
    this.syncedBatches = this.log.length;
  }

  /** Recovers what the log holds into tables, durably. */
  open(): Map<number, Uint8Array> {
    for (const batch of this.log) carryOut(batch, this.tables);
    this.log = [];
    this.syncedBatches = 0;
    return new Map(this.tables);
  }

  /** A power cut: the log is appended to, so a suffix of what was not synced is lost, and a torn batch is left out. */
  loseUnsynced(random: Random): boolean {
    const unsynced = this.log.length - this.syncedBatches;
    const kept = this.syncedBatches + Math.floor(random() * (unsynced + 1));
    const lost = kept < this.log.length;
    this.log.length = kept;
    this.syncedBatches = kept;
    return lost;
  }

  /** A flipped bit in the log: the batches of its block are left out, silently. */
  loseBatches(random: Random): void {
    const first = Math.floor(random() * this.log.length);
    this.log.splice(first, 1 + Math.floor(random() * 3));
    this.syncedBatches = this.log.length;
  }

  /** The log is cut, or missing. */
  cutLog(length: number): void {
    this.log.length = length;
    this.syncedBatches = length;
  }

  /** A flipped bit in a table: another value, and no error. */
  damageTable(random: Random): void {
    const keys = [...this.tables.keys()];
    const key = present(keys[Math.floor(random() * keys.length)], 'a table has entries');
    const bytes = Uint8Array.from(present(this.tables.get(key), 'the key is there'));
    const at = Math.floor(random() * bytes.byteLength);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    this.tables.set(key, bytes);
  }
}

export function carryOut({ deleteFrom, deleteTo, entries }: LoggedBatch, values: Map<number, Uint8Array>): void {
  for (let index = deleteFrom; index <= deleteTo; index++) values.delete(index);
  for (const { index, bytes } of entries) values.set(index, bytes);
}
