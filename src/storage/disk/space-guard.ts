import { LIMITS, messageOf } from '../../base/index.js';
import type { Clock, Logger, Timer } from '../../group/index.js';
import type { DiskPressure } from '../../raft/index.js';
import { type BallastFile, bytesToOpen } from './ballast-file.js';

/** What the guard asks of the storage. */
export interface WrittenStorage {
  /** Bytes of records that were written so far. */
  readonly bytesWritten: number;
  /** Nothing is being written, or waits for it. */
  readonly isIdle: boolean;
}

export interface SpaceGuardOptions {
  readonly ballast: BallastFile;
  readonly storage: WrittenStorage;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Size of a segment. */
  readonly segmentBytes: number;
  /** --min-free-space. Default: what two segments take. */
  readonly minFreeBytes: number | undefined;
}

/** Space counts as enough again when there is this much more than what was too little: a node must not waver. */
const RELIEF = 1.25;

/**
 * Watches how much space the disk has left, so that a node stops taking events before a write fails, which would end
 * it. The file system is asked now and then; in between, what has been taken in since counts as gone.
 *
 * Below the threshold the disk is `low`, below half of it `full`: see disk-pressure.ts of
 * consensus for what that means. Half the threshold is what remains for all that
 * goes on even so, above all for opening segments to be read.
 */
export class SpaceGuard {
  private readonly options: SpaceGuardOptions;
  private measuredFree = Number.POSITIVE_INFINITY;
  /** Bytes of records that were taken in so far, and how many of them the last measurement has seen as gone. */
  private taken = 0;
  private seen = 0;
  private threshold = 0;
  private state: DiskPressure = 'ok';
  private onChange: (level: DiskPressure) => void = () => undefined;
  private checking: Promise<void> | undefined;
  private timer: Timer | undefined;
  private stopped = false;

  private constructor(options: SpaceGuardOptions) {
    this.options = options;
  }

  /** Measures once, and goes on until it is stopped. */
  static async start(options: SpaceGuardOptions): Promise<SpaceGuard> {
    const guard = new SpaceGuard(options);
    await guard.check();
    return guard;
  }

  /** How much the disk takes, as far as is known at this moment. */
  get pressure(): DiskPressure {
    this.compare();
    return this.state;
  }

  /** `tell` hears of every change from now on, perhaps while a record is being taken. */
  onPressure(tell: (level: DiskPressure) => void): void {
    this.onChange = tell;
  }

  /**
   * What the disk has left, less what is on its way there, and less what the
   * ballast lacks: what a start was given of it is for reading, not for events.
   */
  get freeBytes(): number {
    return this.measuredFree - (this.taken - this.seen) - this.options.ballast.missingBytes;
  }

  /** The free space below which it is too little. */
  get thresholdBytes(): number {
    return this.threshold;
  }

  /** Messages for people that say what is wrong; none while there is space. */
  get warnings(): string[] {
    if (this.pressure === 'ok') return [];
    const mebibytes = (bytes: number): string => `${(Math.max(0, bytes) / 2 ** 20).toFixed(1)} MiB`;
    return [
      `the disk is nearly full: ${mebibytes(this.freeBytes)} are free, and no new events are taken below ` +
        `${mebibytes(this.threshold)}`,
    ];
  }

  get ballastBytes(): number {
    return this.options.ballast.bytes;
  }

  /** A record of this size was taken into a log of the node. */
  take(bytes: number): void {
    this.taken += bytes;
    this.compare();
    if (this.taken - this.seen > Math.min(LIMITS.spaceCheckBytes, this.threshold / 8)) void this.check();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.timer?.cancel();
    await this.checking;
  }

  /** Never rejects: a measurement that fails is logged, and the last one stays in force. */
  private check(): Promise<void> {
    if (this.stopped) return Promise.resolve();
    this.checking ??= this.look().finally(() => {
      this.checking = undefined;
      this.timer?.cancel();
      if (!this.stopped) this.timer = this.options.clock.after(LIMITS.spaceCheckMs, () => void this.check());
    });
    return this.checking;
  }

  private async look(): Promise<void> {
    const { storage, ballast, segmentBytes, minFreeBytes, logger } = this.options;
    // What was truncated before it was written never will be: with nothing under way, nothing is.
    const written = storage.isIdle ? this.taken : Math.min(this.taken, storage.bytesWritten);
    try {
      this.measuredFree = await ballast.freeBytes();
      this.seen = written;
      this.threshold = minFreeBytes ?? 2 * bytesToOpen(Math.max(segmentBytes, ballast.largestLogBytes));
      this.compare();
      // What it lacks counts as gone already, so this changes nothing for events.
      if (ballast.missingBytes > 0) this.measuredFree -= await ballast.refill();
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'the free space of the disk can not be measured');
    }
  }

  /** Tells of a change as soon as there is one. */
  private compare(): void {
    const next = pressureOf(this.freeBytes, this.threshold, this.state);
    if (next !== this.state) this.changed(next);
  }

  private changed(next: DiskPressure): void {
    const fields = { freeBytes: Math.max(0, this.freeBytes), minFreeBytes: this.threshold };
    const { logger } = this.options;
    this.state = next;
    this.onChange(next);
    if (next === 'ok') logger.info(fields, 'the disk has space again: new events are taken');
    else if (next === 'low')
      logger.warn(
        fields,
        'the disk is nearly full: this node takes no new events as a leader, and hands over if it can; free space',
      );
    else
      logger.error(
        fields,
        'the disk is all but full: this node accepts no new events, and goes on with elections and reads; free space',
      );
  }
}

/** `now`: as it was until now; it takes more space to rise than it took to fall. */
function pressureOf(freeBytes: number, threshold: number, now: DiskPressure): DiskPressure {
  const isBelow = (bound: number, was: boolean): boolean => freeBytes < (was ? RELIEF * bound : bound);
  if (isBelow(threshold / 2, now === 'full')) return 'full';
  return isBelow(threshold, now !== 'ok') ? 'low' : 'ok';
}
