import type { Clock } from './ports.js';

/** The clocks of the host. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  utcMs: () => Date.now(),
  after(delayMs, run) {
    const timeout = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timeout) };
  },
  soon: (run) => setImmediate(run),
};
