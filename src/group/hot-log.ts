import { type Counter, FlotillaError, type LogIndex, logIndex, type TimeBound } from '../base/index.js';
import { follows, type LogRecord, type LogTail, sealRecord, tailAfter, type UnsealedRecord } from '../wire/index.js';
import type { CacheBudget } from './cache-budget.js';
import type { GroupObserver } from './observer.js';
import type { GroupLog } from './ports.js';
import { RecordCache } from './record-cache.js';

/**
 * The log as the group works on it: its end, which may be ahead of the disk,
 * its hot tail in memory, and behind that the stored records.
 */
export class HotLog {
  private readonly stored: GroupLog;
  private readonly cache: RecordCache;
  private readonly observer: GroupObserver;
  private start: LogTail;
  private end: LogTail;

  constructor(stored: GroupLog, budget: CacheBudget, observer: GroupObserver) {
    this.stored = stored;
    this.observer = observer;
    this.start = stored.recovered.begin;
    this.end = stored.recovered.tail;
    this.cache = new RecordCache(budget, logIndex(this.end.index + 1));
  }

  /** What stands before the first record. */
  get begin(): LogTail {
    return this.start;
  }

  get tail(): LogTail {
    return this.end;
  }

  get cachedBytes(): number {
    return this.cache.bytes;
  }

  /** Size of the records above `index`, which must be in memory. */
  bytesAfter(index: LogIndex): number {
    return this.cache.bytesAfter(index);
  }

  /** Makes the next record and appends it. */
  seal(record: UnsealedRecord, fill?: (payload: Buffer, tail: LogTail) => void): LogRecord {
    const tail = this.end;
    const sealed = sealRecord(tail, record, fill === undefined ? undefined : (payload) => fill(payload, tail));
    this.append(sealed);
    return sealed;
  }

  /** Takes over a leader's records, in place of whatever stood there. */
  replaceFrom(records: readonly LogRecord[]): void {
    for (const record of records) {
      if (record.index <= this.end.index) this.truncateBefore(record);
      if (!follows(this.end, record)) {
        throw new FlotillaError(
          'DATA_LOSS',
          `record ${record.index} of the leader does not continue this node's log: one of the two is damaged`,
        );
      }
      this.append(record);
    }
  }

  /** A snapshot takes the log's place: nothing stands in it yet. */
  replaceWith(tail: LogTail): void {
    this.cache.clear(logIndex(tail.index + 1));
    this.start = tail;
    this.end = tail;
    this.observer.replaced?.(tail);
  }

  /** The records up to `begin` are given up. */
  beginAfter(begin: LogTail): void {
    this.start = begin;
  }

  private append(record: LogRecord): void {
    this.cache.append(record);
    this.end = tailAfter(record);
    this.observer.appended?.(record);
  }

  /** The record itself tells what it builds on; storage compares that with what it holds when it writes. */
  private truncateBefore(record: LogRecord): void {
    const before = logIndex(record.index - 1);
    const kept = this.cache.get(before);
    this.cache.truncateAfter(before);
    this.end =
      kept === undefined
        ? {
            index: before,
            term: record.term,
            checksum: record.previousChecksum,
            nextCounter: record.firstCounter,
            timeMs: record.timeMs,
          }
        : tailAfter(kept);
  }

  /** Records that are in memory; undefined where `from` is not. */
  hot(from: LogIndex, to: LogIndex, maxBytes: number): LogRecord[] | undefined {
    return this.cache.slice(from, to, maxBytes);
  }

  /**
   * Records from memory, else from disk: only indexes that are durable or in
   * memory. From disk none that is in memory: there it may still be what another
   * leader wrote, which this history is about to replace. Throws
   * POSITION_REMOVED where `from` was given up.
   */
  read(from: LogIndex, to: LogIndex, maxBytes: number): LogRecord[] | Promise<LogRecord[]> {
    if (from <= this.start.index) {
      throw new FlotillaError(
        'POSITION_REMOVED',
        `record ${from} was given up; the log begins with record ${this.start.index + 1}`,
      );
    }
    const hot = this.cache.slice(from, to, maxBytes);
    return hot ?? this.stored.read(from, logIndex(Math.min(to, this.cache.beginIndex - 1)), maxBytes);
  }

  /** Index of the record that holds the event with this counter; undefined where there is none. */
  async indexOfCounter(counter: Counter): Promise<LogIndex | undefined> {
    const hot = this.cache.indexOfCounter(counter);
    if (hot !== undefined) return hot;
    const { beginIndex } = this.cache;
    const stored = await this.stored.indexOfCounter(counter);
    return stored !== undefined && stored < beginIndex ? stored : undefined;
  }

  /** Index of the first record above the log's begin at or behind a time; undefined where there is none. */
  async indexOfTime(isLate: TimeBound): Promise<LogIndex | undefined> {
    const { beginIndex } = this.cache;
    const hot = this.cache.indexOfTime(isLate);
    // Where the oldest record in memory is late enough, one behind it may be, too.
    const stored = hot === undefined || hot === beginIndex ? await this.stored.indexOfTime(isLate) : undefined;
    const found = stored !== undefined && stored < beginIndex ? stored : hot;
    const first = Math.max(found ?? Number.POSITIVE_INFINITY, this.start.index + 1);
    return first > this.end.index ? undefined : logIndex(first);
  }

  evict(durableIndex: LogIndex): void {
    this.cache.evict(durableIndex);
  }
}
