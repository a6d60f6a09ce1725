import { assert, type LogIndex, present } from '../base/index.js';

/**
 * What records of the log have put in force one after another, each with its
 * record's index: the log's fate is theirs. A truncated one gives way to the one
 * before it, and what was replaced below the log's begin is forgotten.
 */
export class PlacedHistory<Placed extends { readonly index: LogIndex }> {
  protected placed: Placed[];

  /** `placed` is ascending by index; its first one stands at or below the log's begin and is never truncated. */
  constructor(placed: readonly Placed[]) {
    assert(placed.length > 0, 'something is in force from the start');
    this.placed = [...placed];
  }

  get latest(): Placed {
    return present(this.placed.at(-1), 'the first one is never truncated');
  }

  /** What was in force as of an index that is not below the first one's. */
  asOf(index: LogIndex): Placed {
    return present(this.placed.findLast((each) => each.index <= index) ?? this.placed[0], 'there is always one');
  }

  append(placed: Placed): void {
    assert(placed.index > this.latest.index, 'what the log puts in force comes in index order');
    this.placed.push(placed);
  }

  truncateAfter(index: LogIndex): void {
    while (this.placed.length > 1 && this.latest.index > index) this.placed.pop();
  }

  /** The log begins after `index` from now on. */
  cutThrough(index: LogIndex): void {
    const inForce = this.placed.findLastIndex((each) => each.index <= index);
    this.placed = this.placed.slice(Math.max(inForce, 0));
  }

  /** The log is replaced by a snapshot, as of which this one is in force. */
  replaceWith(placed: Placed): void {
    this.placed = [placed];
  }
}
