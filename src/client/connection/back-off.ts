import { LIMITS } from '../../base/index.js';

/**
 * The pause before the next attempt: doubles with each failure in a row, with
 * jitter, so that the clients of a node that went away don't return in step.
 */
export class BackOff {
  private failures = 0;

  get failuresInRow(): number {
    return this.failures;
  }

  /** Counts a failure and says how long to wait after it, in milliseconds. */
  nextMs(): number {
    const full = Math.min(LIMITS.clientBackoffMaxMs, LIMITS.clientBackoffMinMs * 2 ** Math.min(this.failures, 10));
    this.failures++;
    return full * (0.5 + Math.random() / 2);
  }

  succeeded(): void {
    this.failures = 0;
  }
}
