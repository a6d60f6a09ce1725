import { FlotillaError, LIMITS, type LogIndex, logIndex, messageOf } from '../base/index.js';
import type { DatabaseEntry } from '../storage/disk/index.js';
import { SegmentContents } from '../storage/segment/index.js';
import { follows, type LogRecord, type LogTail, openRecord, tailAfter } from '../wire/index.js';
import type { DatabaseView } from './database-view.js';

/** Records of a segment that are not what was written. */
export interface RecordDamage {
  readonly from: LogIndex;
  readonly to: LogIndex;
  readonly what: string;
}

/**
 * Reads a segment record by record and notes all that is wrong with it, where a
 * start stops at the first: it is for people who want to know how much is left.
 */
export class SegmentScan {
  readonly damages: RecordDamage[] = [];
  records = 0;
  bytes = 0;
  /** Of the unbroken chain from the segment's begin. */
  readonly contents: SegmentContents;
  private next: LogIndex;
  /** What the next record builds on; undefined behind damage. */
  private tail: LogTail | undefined;
  private readonly visit: (record: LogRecord) => void;

  constructor(before: LogTail, visit: (record: LogRecord) => void) {
    this.contents = SegmentContents.empty(before);
    this.next = logIndex(before.index + 1);
    this.tail = before;
    this.visit = visit;
  }

  /** The last record there is. */
  get lastIndex(): LogIndex {
    return logIndex(this.next - 1);
  }

  async run(database: DatabaseView): Promise<void> {
    try {
      await database.scan((entries) => {
        for (const entry of entries) this.take(entry);
      });
    } catch (error) {
      this.note(this.next, this.next, `it and what follows can't be read: ${messageOf(error)}`);
    }
  }

  /** The segment is known to reach up to `index`. */
  requireThrough(index: LogIndex): void {
    if (this.lastIndex < index) this.note(this.next, index, 'missing');
  }

  private take({ index, bytes }: DatabaseEntry): void {
    if (!Number.isSafeInteger(index) || index < this.next) {
      this.note(this.next, this.next, `something stands before it that is no record of this segment (key ${index})`);
      return;
    }
    if (index > this.next) this.note(this.next, logIndex(index - 1), 'missing');
    this.next = logIndex(index + 1);
    const record = this.opened(logIndex(index), bytes);
    if (record === undefined) return;
    if (this.tail !== undefined && !follows(this.tail, record))
      this.note(record.index, record.index, 'it does not continue the record before it');
    if (this.damages.length === 0) this.contents.add(record);
    this.tail = tailAfter(record);
    this.records++;
    this.bytes += bytes.byteLength;
    this.visit(record);
  }

  private opened(index: LogIndex, bytes: Uint8Array): LogRecord | undefined {
    try {
      const record = openRecord(bytes);
      if (record.index === index) return record;
      this.note(index, index, `record ${record.index} stands in its place`);
    } catch (error) {
      // A newer version's record is no damage, but nothing that this version can say anything of.
      if (error instanceof FlotillaError && error.code !== 'DATA_LOSS') throw error;
      this.note(index, index, 'damaged');
    }
    return undefined;
  }

  private note(from: LogIndex, to: LogIndex, what: string): void {
    this.tail = undefined;
    const last = this.damages.at(-1);
    if (last !== undefined && last.what === what && last.to === from - 1)
      this.damages[this.damages.length - 1] = { ...last, to };
    else if (this.damages.length < LIMITS.reportedDamages) this.damages.push({ from, to, what });
  }
}
