import type { Clock } from './index.js';

/** The machine's clocks. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  utcMs: () => Date.now(),
  after(delayMs, run) {
    const timeout = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timeout) };
  },
  soon: (run) => setImmediate(run),
};
