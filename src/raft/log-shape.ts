import { assert, type LogIndex, logIndex, present, type Term, term } from '../base/index.js';
import type { TermStart } from './types.js';

/**
 * All that consensus knows of the log: where it begins and ends, and the first
 * index of each term. That is enough for the log matching check, for elections
 * and for back-tracking by whole terms, and it stays small however long the log.
 */
export class LogShape {
  /** Ascending in index and in term. The first one is the entry before the log. */
  private starts: TermStart[];
  private last: LogIndex;

  /** `begin` is the entry before the first one (index 0 and term 0 in a whole log). */
  constructor(begin: { index: LogIndex; term: Term }, starts: readonly TermStart[], lastIndex: LogIndex) {
    this.starts = [{ index: begin.index, term: begin.term }, ...starts];
    this.last = lastIndex;
    for (const [position, start] of this.starts.entries()) {
      const before = this.starts[position - 1];
      assert(before === undefined || (start.index > before.index && start.term >= before.term), 'term starts ascend');
    }
    assert(lastIndex >= this.lastStart.index, 'every term that starts in the log has an entry');
  }

  get beginIndex(): LogIndex {
    return present(this.starts[0], 'the begin is never removed').index;
  }

  get lastIndex(): LogIndex {
    return this.last;
  }

  get lastTerm(): Term {
    return this.lastStart.term;
  }

  /** Undefined outside the log. */
  termAt(index: LogIndex): Term | undefined {
    if (index < this.beginIndex || index > this.last) return undefined;
    return this.startAtOrBefore(index).term;
  }

  /** Whether an entry with this index and term stands here (or is the one that the log begins after). */
  matches(index: LogIndex, termOfEntry: Term): boolean {
    return this.termAt(index) === termOfEntry;
  }

  /** Whether a log that ends with this entry holds at least as much (dissertation, section 3.6.1). */
  isUpToDate(lastIndex: LogIndex, lastTerm: Term): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.last);
  }

  append(index: LogIndex, termOfEntry: Term): void {
    assert(index === this.last + 1, `entry ${index} does not follow ${this.last}`);
    assert(termOfEntry >= this.lastTerm, 'terms never decrease along the log');
    if (termOfEntry > this.lastTerm) this.starts.push({ index, term: termOfEntry });
    this.last = index;
  }

  /** Forgets every entry above `index`. */
  truncateAfter(index: LogIndex): void {
    assert(index >= this.beginIndex && index <= this.last, `can't truncate after ${index}`);
    while (this.starts.length > 1 && this.lastStart.index > index) this.starts.pop();
    this.last = index;
  }

  /** Forgets every entry up to `index`, which is the one that the log begins after from now on. */
  cutThrough(index: LogIndex): void {
    const termOfEntry = this.termAt(index);
    assert(termOfEntry !== undefined, `the log can't begin after ${index}, which is outside it`);
    const kept = this.starts.filter((start) => start.index > index);
    this.starts = [{ index, term: termOfEntry }, ...kept];
  }

  /** Forgets everything: the log is empty and begins after this entry. */
  replaceWith(begin: TermStart): void {
    this.starts = [begin];
    this.last = begin.index;
  }

  /**
   * The highest index at or below `limit` whose term is at most `termLimit`:
   * above it this log can't match one that has `termLimit` there. Skips a whole
   * term in one step (dissertation, section 3.5, "one RPC for each term").
   */
  lastIndexAtMost(limit: LogIndex, termLimit: Term): LogIndex {
    let index = logIndex(Math.min(limit, this.last));
    while (index > this.beginIndex) {
      const start = this.startAtOrBefore(index);
      if (start.term <= termLimit) return index;
      index = logIndex(start.index - 1);
    }
    return logIndex(Math.max(index, this.beginIndex));
  }

  /** Term at `index`, 0 where that is outside the log. */
  termOrZero(index: LogIndex): Term {
    return this.termAt(index) ?? term(0);
  }

  private get lastStart(): TermStart {
    return present(this.starts.at(-1), 'the begin is never removed');
  }

  private startAtOrBefore(index: LogIndex): TermStart {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (present(this.starts[middle], 'inside the array').index <= index) low = middle;
      else high = middle - 1;
    }
    return present(this.starts[low], 'inside the array');
  }
}
