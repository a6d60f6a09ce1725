import { FlotillaError, LIMITS } from '../../base/index.js';
import type { DatabaseSettings, Segment, SegmentDamage } from '../segment/index.js';

export interface SegmentRepairsOptions {
  readonly settings: DatabaseSettings;
  /** Rebuilds a segment and puts it in its place; resolves with how many records came from elsewhere. */
  readonly rebuild: (segment: Segment) => Promise<number>;
  /** Whether it is still of the log: it may have been removed, or another may have taken its place. */
  readonly isCurrent: (segment: Segment) => boolean;
}

/**
 * Repairs the damaged sealed segments of one log, one at a time, for whoever
 * meets the damage: a consumer, the leader that replicates, a search, the scrub.
 */
export class SegmentRepairs {
  private readonly options: SegmentRepairsOptions;
  private readonly underWay = new Map<string, Promise<boolean>>();
  /** What could not be repaired when it was last tried; where there is nobody else, it is not tried again. */
  private readonly hopeless = new Set<string>();
  private last: Promise<unknown> = Promise.resolve();
  private closed = false;

  constructor(options: SegmentRepairsOptions) {
    this.options = options;
  }

  /** The log is closed: nothing of it may be opened again. */
  get isClosed(): boolean {
    return this.closed;
  }

  /**
   * Resolves when the segment can be read again, or another look will tell what stands there by now. Rejects with the
   * damage, and what can be done, where that does not come in time.
   */
  async mend(damage: SegmentDamage): Promise<void> {
    const { isCurrent, settings } = this.options;
    const { clock, healing } = settings;
    const deadlineMs = clock.nowMs() + LIMITS.repairWaitMs;
    if (!damage.segment.isSealed) throw beyondRepair(damage);
    while (healing.source !== undefined) {
      if (this.closed || !isCurrent(damage.segment) || !damage.segment.isSealed) return;
      if (this.hopeless.has(damage.segment.directory) && healing.source.isAlone) break;
      if (await this.attempt(damage)) return;
      if (healing.source.isAlone || clock.nowMs() + LIMITS.repairRetryMs > deadlineMs) break;
      await new Promise<void>((resolve) => clock.after(LIMITS.repairRetryMs, resolve));
    }
    throw beyondRepair(damage);
  }

  /** Waits for what is under way, and begins nothing more. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all(this.underWay.values());
  }

  private attempt(damage: SegmentDamage): Promise<boolean> {
    const { directory } = damage.segment;
    let attempt = this.underWay.get(directory);
    if (attempt === undefined) {
      attempt = this.last.then(() => this.repair(damage)).finally(() => this.underWay.delete(directory));
      this.underWay.set(directory, attempt);
      this.last = attempt;
    }
    return attempt;
  }

  /** Never rejects: a write that fails stops the node. */
  private async repair(damage: SegmentDamage): Promise<boolean> {
    const { settings, rebuild } = this.options;
    const { observer } = settings.healing;
    const { segment } = damage;
    const { group, directory, before, tail } = segment;
    if (!this.hopeless.has(directory)) observer.damaged(group, directory, damage);
    try {
      const fetched = await rebuild(segment);
      this.hopeless.delete(directory);
      observer.repaired(group, directory, { from: before.index + 1, to: tail.index, fetched });
      return true;
    } catch (error) {
      if (!(error instanceof FlotillaError) || error.code === 'INTERNAL') settings.onFailure(error);
      else if (error.code !== 'CANCELLED') {
        this.hopeless.add(directory);
        observer.notRepaired(group, directory, error.message);
      }
      return false;
    }
  }
}

function beyondRepair(damage: SegmentDamage): FlotillaError {
  const { before, tail, directory } = damage.segment;
  return new FlotillaError(
    'DATA_LOSS',
    `${damage.message}. It lies among the records ${before.index + 1} to ${tail.index} of ${directory}${eventsIn(damage.segment)}, and no other node could give it; what stands before and after it is served. ` +
      'With the node stopped, "flotilla verify" names each damage; a backup is put back with "flotilla restore": see docs/operating.md',
    { cause: damage },
  );
}

/** Readers know counters, not records. */
function eventsIn({ before, tail }: Segment): string {
  return tail.nextCounter === before.nextCounter
    ? ', which hold no events'
    : `, the events ${before.nextCounter} to ${tail.nextCounter - 1}`;
}
