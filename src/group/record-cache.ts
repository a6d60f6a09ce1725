import { assert, type Counter, type LogIndex, logIndex, present, type TimeBound } from '../base/index.js';
import type { LogRecord } from '../wire/index.js';
import type { BudgetedCache, CacheBudget } from './cache-budget.js';

/** What a record takes in memory beside its bytes: its object and two views. */
const RECORD_OBJECT_BYTES = 400;

/** What a record with so many bytes takes in memory. */
export function weightOf({ bytes }: Pick<LogRecord, 'bytes'>): number {
  return bytes.byteLength + RECORD_OBJECT_BYTES;
}

/**
 * The hot tail of a log: the newest records without a gap, shared by all its readers, within a bound that all of a
 * node's groups share. What is not yet durable stays whatever the bound says, because it stands nowhere else.
 */
export class RecordCache implements BudgetedCache {
  private readonly budget: CacheBudget;
  /** records[head] has index `firstIndex`. */
  private records: (LogRecord | undefined)[] = [];
  private head = 0;
  private firstIndex: LogIndex;
  private size = 0;
  /** Up to here a record may go. */
  private durableIndex: LogIndex;

  /** `nextIndex` is that of the first record that will be appended. */
  constructor(budget: CacheBudget, nextIndex: LogIndex) {
    this.budget = budget;
    this.firstIndex = nextIndex;
    this.durableIndex = logIndex(nextIndex - 1);
    budget.used(this);
  }

  /** What it takes in memory. */
  get bytes(): number {
    return this.size;
  }

  /** Index of the oldest record here, or of the next one that will be appended. */
  get beginIndex(): LogIndex {
    return this.firstIndex;
  }

  get lastIndex(): LogIndex {
    return logIndex(this.firstIndex + this.records.length - this.head - 1);
  }

  get(index: LogIndex): LogRecord | undefined {
    if (index < this.firstIndex || index > this.lastIndex) return undefined;
    return this.records[this.head + index - this.firstIndex];
  }

  bytesAfter(index: LogIndex): number {
    let bytes = 0;
    for (let at = this.lastIndex; at > index; at = logIndex(at - 1)) bytes += this.get(at)?.bytes.byteLength ?? 0;
    return bytes;
  }

  /** Index of the record that holds the event with this counter, where that is in memory. */
  indexOfCounter(sought: Counter): LogIndex | undefined {
    let low: number = this.firstIndex;
    let high: number = this.lastIndex;
    while (low <= high) {
      const middle = Math.floor((low + high) / 2);
      const record = present(this.get(logIndex(middle)), 'the cache has no holes');
      if (sought < record.firstCounter) high = middle - 1;
      else if (sought >= record.firstCounter + record.eventCount) low = middle + 1;
      else return record.index;
    }
    return undefined;
  }

  /** Index of the first record here at or behind a time. */
  indexOfTime(isLate: TimeBound): LogIndex | undefined {
    let low: number = this.firstIndex;
    let high: number = this.lastIndex;
    while (low <= high) {
      const middle = Math.floor((low + high) / 2);
      if (isLate(present(this.get(logIndex(middle)), 'the cache has no holes'))) high = middle - 1;
      else low = middle + 1;
    }
    return low > this.lastIndex ? undefined : logIndex(low);
  }

  append(record: LogRecord): void {
    assert(record.index === this.lastIndex + 1, `record ${record.index} does not follow ${this.lastIndex}`);
    this.records.push(record);
    this.resize(weightOf(record));
    this.budget.used(this);
  }

  /** Forgets everything; `nextIndex` is that of the first record that will be appended. */
  clear(nextIndex: LogIndex): void {
    this.records = [];
    this.head = 0;
    this.resize(-this.size);
    this.firstIndex = nextIndex;
  }

  truncateAfter(index: LogIndex): void {
    if (index < this.firstIndex) {
      this.clear(logIndex(index + 1));
      return;
    }
    while (this.lastIndex > index)
      this.resize(-weightOf(present(this.records.pop(), 'the cache holds up to lastIndex')));
  }

  /**
   * Records from `from` to `to` (both included), as many as fit into `maxBytes`,
   * at least one; undefined where `from` is not here.
   */
  slice(from: LogIndex, to: LogIndex, maxBytes: number): LogRecord[] | undefined {
    if (from < this.firstIndex || from > this.lastIndex) return undefined;
    this.budget.used(this);
    const records: LogRecord[] = [];
    let bytes = 0;
    for (let index = from; index <= to; index = logIndex(index + 1)) {
      const record = this.get(index);
      if (record === undefined) break;
      bytes += record.bytes.byteLength;
      if (records.length > 0 && bytes > maxBytes) break;
      records.push(record);
    }
    return records;
  }

  /** The records up to this one are durable: here, and in the other groups, the oldest go until the bound is kept. */
  evict(durableIndex: LogIndex): void {
    this.durableIndex = durableIndex;
    this.budget.enforce();
  }

  evictOldest(): number {
    const oldest = this.records[this.head];
    if (oldest === undefined || oldest.index > this.durableIndex) return 0;
    this.records[this.head] = undefined;
    this.head++;
    this.firstIndex = logIndex(this.firstIndex + 1);
    if (this.head >= 1024 && this.head * 2 >= this.records.length) {
      this.records.splice(0, this.head);
      this.head = 0;
    }
    this.size -= weightOf(oldest);
    return weightOf(oldest);
  }

  private resize(bytes: number): void {
    this.size += bytes;
    this.budget.changed(bytes);
  }
}
