import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteBudget, type Evictable } from '../../src/base/index.js';

/** Holds bytes until it is told to let go. */
class Holder implements Evictable {
  evicted = false;
  private readonly budget: ByteBudget;
  private bytes = 0;

  constructor(budget: ByteBudget) {
    this.budget = budget;
    budget.list(this);
  }

  take(bytes: number): boolean {
    this.bytes += bytes;
    return this.budget.take(bytes);
  }

  evict(): void {
    this.evicted = true;
    this.budget.unlist(this);
    this.budget.give(this.bytes);
    this.bytes = 0;
  }
}

test('whoever has been listed longest lets go, and no more of them than is needed', () => {
  const budget = new ByteBudget(100);
  const [first, second, third] = [new Holder(budget), new Holder(budget), new Holder(budget)];
  assert.equal(third.take(40), true);
  assert.equal(first.take(40), true);
  assert.equal(second.take(30), true);
  assert.deepEqual([first.evicted, second.evicted, third.evicted], [true, false, false]);
  assert.equal(budget.heldBytes, 70);
});

test('who takes may be the one that has to let go', () => {
  const budget = new ByteBudget(100);
  const only = new Holder(budget);
  assert.equal(only.take(60), true);
  assert.equal(only.take(60), true);
  assert.equal(only.evicted, true);
  assert.equal(budget.heldBytes, 0);
});

test('what is not listed stays, and then there may be no more', () => {
  const budget = new ByteBudget(100);
  assert.equal(budget.take(100), true);
  assert.equal(budget.take(1), false);
  budget.give(51);
  const holder = new Holder(budget);
  assert.equal(holder.take(51), true);
  assert.equal(holder.evicted, true);
  assert.equal(budget.heldBytes, 50);
});

test('a part of a budget lets go for itself before it costs the others anything', () => {
  const node = new ByteBudget(100);
  const greedy = new ByteBudget(60, node);
  const modest = new ByteBudget(60, node);
  const victim = new Holder(modest);
  victim.take(40);
  const oldest = new Holder(greedy);
  oldest.take(60);
  const newest = new Holder(greedy);
  assert.equal(newest.take(50), true);
  assert.deepEqual([victim.evicted, oldest.evicted, newest.evicted], [false, true, false]);
  assert.equal(node.heldBytes, 90);
  // One more of the other part, and the whole is what counts: the oldest there is of all.
  assert.equal(new Holder(modest).take(20), true);
  assert.equal(victim.evicted, true);
  assert.equal(node.heldBytes, 70);
});
