import type { Event } from './event.js';

/**
 * Hands out the events of batches one by one. Written by hand, because an
 * `async function*` around the same loop takes several times as long per event.
 */
export class EventIterator implements AsyncIterableIterator<Event, undefined, undefined> {
  private readonly batches: AsyncGenerator<Event[], void, undefined>;
  private batch: readonly Event[] = [];
  private position = 0;
  /** The last `next` that had to wait for a batch; later ones wait behind it. */
  private refilling: Promise<IteratorResult<Event, undefined>> | undefined;
  private over = false;
  private readonly stop: () => void;

  /** `stop` breaks off a wait for the next batch. */
  constructor(batches: AsyncGenerator<Event[], void, undefined>, stop: () => void) {
    this.batches = batches;
    this.stop = stop;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    if (this.refilling !== undefined) return this.waitBehind(this.refilling);
    const value = this.batch[this.position];
    if (value === undefined) return this.waitBehind(undefined);
    this.position++;
    return Promise.resolve({ done: false, value });
  }

  async return(): Promise<IteratorResult<Event, undefined>> {
    this.over = true;
    this.batch = [];
    this.stop();
    await this.batches.return();
    return { done: true, value: undefined };
  }

  private waitBehind(before: Promise<unknown> | undefined): Promise<IteratorResult<Event, undefined>> {
    const waiting = this.refill(before).finally(() => {
      if (this.refilling === waiting) this.refilling = undefined;
    });
    this.refilling = waiting;
    return waiting;
  }

  private async refill(before: Promise<unknown> | undefined): Promise<IteratorResult<Event, undefined>> {
    await before;
    while (this.position >= this.batch.length) {
      if (this.over) return { done: true, value: undefined };
      const batch = await this.nextBatch();
      if (batch === undefined) this.over = true;
      this.batch = batch ?? [];
      this.position = 0;
    }
    const value = this.batch[this.position];
    this.position++;
    return value === undefined ? { done: true, value: undefined } : { done: false, value };
  }

  private async nextBatch(): Promise<readonly Event[] | undefined> {
    try {
      const next = await this.batches.next();
      return next.done === true ? undefined : next.value;
    } catch (error) {
      // Leaving the iteration broke off the wait: that is its end, not a failure.
      if (this.over) return undefined;
      this.over = true;
      throw error;
    }
  }
}
