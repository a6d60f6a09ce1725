import { FlotillaError, LIMITS, type LogIndex, logIndex } from '../../base/index.js';
import type { Clock, Timer } from '../../group/index.js';
import type { LogRecord } from '../../wire/index.js';
import type { HealingObserver } from '../segment/index.js';

/** A log with sealed records to verify. */
export interface ScrubbedLog {
  /** The sealed segments as they are now, oldest first: the first and the last index of each. */
  sealedRanges(): readonly { readonly from: LogIndex; readonly to: LogIndex }[];
  /** Verifies what it reads, and mends what is damaged. */
  read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<LogRecord[]>;
  /**
   * Verifies the namespace index of the sealed segment that holds these records, and has it made again where it is
   * damaged.
   */
  verifyIndex(from: LogIndex, to: LogIndex): Promise<void>;
}

export interface ScrubberOptions {
  readonly clock: Clock;
  readonly observer: HealingObserver;
  /** As they are at the beginning of a round. */
  readonly logs: () => readonly ScrubbedLog[];
}

/**
 * Reads all sealed segments and their namespace indexes in the background, over and over, so that damage is
 * found, and mended from other nodes, while these still have the records. What
 * is read may come from the operating system's memory: then it is that which was
 * verified, and the disk in a later round.
 */
export class Scrubber {
  private readonly options: ScrubberOptions;
  private timer: Timer | undefined;
  private wake: () => void = () => undefined;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(options: ScrubberOptions) {
    this.options = options;
  }

  start(): void {
    this.planRound(LIMITS.scrubDelayMs);
  }

  /** Begins nothing more; see {@link ended}. */
  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.wake();
  }

  /** Resolves when the read that was under way is over. */
  async ended(): Promise<void> {
    await this.running;
  }

  private planRound(delayMs: number): void {
    this.timer = this.options.clock.after(delayMs, () => {
      this.running = this.round();
    });
  }

  private async round(): Promise<void> {
    for (const log of this.options.logs()) {
      for (const { from, to } of log.sealedRanges()) await this.verify(log, from, to);
    }
    if (!this.stopped) this.planRound(LIMITS.scrubPauseMs);
  }

  private async verify(log: ScrubbedLog, from: LogIndex, to: LogIndex): Promise<void> {
    for (let next = from; next <= to && !this.stopped; ) {
      const records = await soundRecords(log, next, to);
      const last = records.at(-1);
      // It was given up, truncated, or is damaged for good, which has been told.
      if (last === undefined) return;
      const bytes = records.reduce((sum, record) => sum + record.bytes.byteLength, 0);
      this.options.observer.scrubbed(bytes);
      next = logIndex(last.index + 1);
      await this.pause((1000 * bytes) / LIMITS.scrubBytesPerSecond);
    }
    if (!this.stopped) await verifyIndex(log, from, to);
  }

  private async pause(delayMs: number): Promise<void> {
    if (this.stopped) return;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      this.timer = this.options.clock.after(delayMs, resolve);
    });
  }
}

async function verifyIndex(log: ScrubbedLog, from: LogIndex, to: LogIndex): Promise<void> {
  try {
    await log.verifyIndex(from, to);
  } catch (error) {
    // The segment was given up or truncated meanwhile.
    if (!(error instanceof FlotillaError)) throw error;
  }
}

async function soundRecords(log: ScrubbedLog, from: LogIndex, to: LogIndex): Promise<LogRecord[]> {
  try {
    return await log.read(from, to, LIMITS.scrubReadBytes);
  } catch (error) {
    if (error instanceof FlotillaError) return [];
    throw error;
  }
}
