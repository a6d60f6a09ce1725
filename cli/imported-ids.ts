import { type Counter, counter, LIMITS } from '../src/base/index.js';
import type { EventId } from '../src/event/index.js';

/** Events that followed one another, and do so again: of one node each time, without a gap. */
interface Stretch {
  readonly oldFirst: EventId;
  readonly newFirst: EventId;
  count: number;
}

/**
 * The new ids of the events of an export, by their old ones, which rise. Where
 * they begin anew, another export does, and what was known is of no use any
 * more. Beyond the limit the oldest are forgotten.
 */
export class ImportedIds {
  private stretches: Stretch[] = [];
  private last: Counter = counter(0);

  /** An event of the old id got this new one. */
  add(oldId: EventId, newId: EventId): void {
    if (oldId.counter <= this.last) this.stretches = [];
    this.last = oldId.counter;
    const latest = this.stretches.at(-1);
    if (
      latest !== undefined &&
      continues(latest.oldFirst, latest.count, oldId) &&
      continues(latest.newFirst, latest.count, newId)
    ) {
      latest.count++;
      return;
    }
    if (this.stretches.length === LIMITS.importedStretches)
      this.stretches = this.stretches.slice(LIMITS.importedStretches / 2);
    this.stretches.push({ oldFirst: oldId, newFirst: newId, count: 1 });
  }

  /** Undefined where there was no such event, or it is forgotten. */
  find(oldId: EventId): EventId | undefined {
    const stretch = this.stretches[this.lastAtOrBefore(oldId.counter)];
    if (stretch === undefined || stretch.oldFirst.actor !== oldId.actor) return undefined;
    const offset = oldId.counter - stretch.oldFirst.counter;
    if (offset >= stretch.count) return undefined;
    return { counter: counter(stretch.newFirst.counter + offset), actor: stretch.newFirst.actor };
  }

  private lastAtOrBefore(sought: Counter): number {
    let low = 0;
    let high = this.stretches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const stretch = this.stretches[middle];
      if (stretch !== undefined && stretch.oldFirst.counter <= sought) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

function continues(first: EventId, count: number, id: EventId): boolean {
  return id.actor === first.actor && id.counter === first.counter + count;
}
