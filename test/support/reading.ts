import { Allowance } from '../../src/rpc/index.js';
import { Reading } from '../../src/service/reading.js';

const clock = {
  after: (delayMs: number, run: () => void) => {
    const timeout = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timeout) };
  },
};

/** What the readers of a node share, as a node makes it. */
export function newReading(): Reading {
  return new Reading((options) => new Allowance({ clock, ...options }));
}
