import { LIMITS } from '../base/index.js';
import type { Allowance } from './reading.js';

/** The part of the readers' memory that one reader's records take. */
export class HeldRecords {
  private readonly allowance: Allowance;
  private bytes = 0;

  constructor(allowance: Allowance) {
    this.allowance = allowance;
  }

  /** Takes what one read may need, which is known once it has ended; a promise where that is to be waited for. */
  reserve(signal: AbortSignal): Promise<void> | undefined {
    const pending = this.allowance.take(LIMITS.readReservationBytes, signal);
    if (pending !== undefined) return pending.then(() => this.reserved());
    this.reserved();
    return undefined;
  }

  /** It turned out to be so much. */
  hold(bytes: number): void {
    if (bytes > this.bytes) this.allowance.takeMore(bytes - this.bytes);
    else this.allowance.give(this.bytes - bytes);
    this.bytes = bytes;
  }

  release(): void {
    this.hold(0);
  }

  private reserved(): void {
    this.bytes = LIMITS.readReservationBytes;
  }
}
