import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Standstill, type ThreadActivity } from '../../src/node/standstill.js';

const TICK_MS = 1000;

/** How long the thread has stood still at each of these ticks, in none of which it greets but in the first. */
function stoodThrough(activities: readonly (ThreadActivity | undefined)[]): number[] {
  const standstill = new Standstill(TICK_MS);
  standstill.tick(1, () => undefined);
  return activities.map((activity) => standstill.tick(1, () => activity));
}

describe('a standstill', () => {
  it('ends with each greeting', () => {
    const standstill = new Standstill(TICK_MS);
    assert.equal(
      standstill.tick(1, () => undefined),
      0,
    );
    assert.equal(
      standstill.tick(1, () => undefined),
      1000,
    );
    assert.equal(
      standstill.tick(2, () => undefined),
      0,
    );
    assert.equal(
      standstill.tick(2, () => undefined),
      1000,
    );
  });

  it('of a thread that waits lasts as long as the ticks', () => {
    const waits = { state: 'S', cpuMs: 70 };
    assert.deepEqual(stoodThrough([waits, waits, waits]), [1000, 2000, 3000]);
  });

  it('of a thread that runs lasts as long as it was given a processor', () => {
    const runs = (cpuMs: number): ThreadActivity => ({ state: 'R', cpuMs });
    assert.deepEqual(
      stoodThrough([runs(500), runs(1500), runs(1600), runs(1600), runs(2600)]),
      [0, 1000, 1100, 1100, 2100],
    );
  });

  it('does not go on while the thread waits for a disk, or is stopped', () => {
    for (const state of ['D', 'T', 't'])
      assert.deepEqual(
        stoodThrough([
          { state, cpuMs: 5 },
          { state, cpuMs: 5 },
        ]),
        [0, 0],
      );
  });

  it('is counted in ticks where the system tells nothing of threads', () => {
    assert.deepEqual(stoodThrough([undefined, undefined]), [1000, 2000]);
  });
});
