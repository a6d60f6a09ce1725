import { assert, type LogIndex, present } from '../base/index.js';

/**
 * What records of the log have put in force one after another, each with its
 * record's index: the log's fate is theirs. A truncated one gives way to the one
 * before it, and what was replaced below the log's begin is forgotten.
 */
export class IndexedHistory<Indexed extends { readonly index: LogIndex }> {
  protected history: Indexed[];

  /** `history` is ascending by index; its first one stands at or below the log's begin and is never truncated. */
  constructor(history: readonly Indexed[]) {
    assert(history.length > 0, 'something is in force from the start');
    this.history = [...history];
  }

  get latest(): Indexed {
    return present(this.history.at(-1), 'the first one is never truncated');
  }

  /** What was in force as of an index that is not below the first one's. */
  asOf(index: LogIndex): Indexed {
    return present(this.history.findLast((each) => each.index <= index) ?? this.history[0], 'there is always one');
  }

  append(next: Indexed): void {
    assert(next.index > this.latest.index, 'what the log puts in force comes in index order');
    this.history.push(next);
  }

  truncateAfter(index: LogIndex): void {
    while (this.history.length > 1 && this.latest.index > index) this.history.pop();
  }

  /** The log begins after `index` from now on. */
  cutThrough(index: LogIndex): void {
    const inForce = this.history.findLastIndex((each) => each.index <= index);
    this.history = this.history.slice(Math.max(inForce, 0));
  }

  /** The log is replaced by a snapshot, as of which this one is in force. */
  replaceWith(inForce: Indexed): void {
    this.history = [inForce];
  }
}
