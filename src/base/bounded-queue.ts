import { assert } from './assert.js';

/**
 * First in, first out, with a bound. `push` beyond it is refused, never silent: the caller has to tell its own caller
 * no.
 */
export class BoundedQueue<T> {
  readonly capacity: number;
  private readonly items: (T | undefined)[] = [];
  private head = 0;

  constructor(capacity: number) {
    assert(capacity > 0, 'a queue holds at least one item');
    this.capacity = capacity;
  }

  get length(): number {
    return this.items.length - this.head;
  }

  /** False, and nothing changed, where the queue is full. */
  push(item: T): boolean {
    if (this.length >= this.capacity) return false;
    this.items.push(item);
    return true;
  }

  peek(): T | undefined {
    return this.items[this.head];
  }

  shift(): T | undefined {
    if (this.head === this.items.length) return undefined;
    const item = this.items[this.head];
    this.items[this.head] = undefined;
    this.head++;
    // Moving the rest is paid for by the shifts before it: amortised constant.
    if (this.head >= 64 && this.head * 2 >= this.items.length) {
      this.items.splice(0, this.head);
      this.head = 0;
    }
    return item;
  }

  /** Takes everything out, oldest first. */
  drain(): T[] {
    const rest = this.items.slice(this.head) as T[];
    this.items.length = 0;
    this.head = 0;
    return rest;
  }
}
