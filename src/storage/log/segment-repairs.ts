import { FlotillaError, LIMITS, present } from '../../base/index.js';
import { type DatabaseSettings, readFooter, Segment, type SegmentDamage, segmentName } from '../segment/index.js';
import type { RemovalBarrier } from './removal-barrier.js';
import type { SegmentList } from './segment-list.js';
import { discardRebuilt, rebuildSegment, replaceSegment } from './segment-rebuild.js';

export interface SegmentRepairsOptions {
  /** Where the log's segments are. */
  readonly segmentsPath: string;
  readonly segments: SegmentList;
  readonly removals: RemovalBarrier;
  readonly settings: DatabaseSettings;
}

/**
 * Repairs the damaged sealed segments of one log, one at a time, for any reader that meets the damage: a consumer, the
 * leader that replicates, a search, the scrub.
 */
export class SegmentRepairs {
  private readonly options: SegmentRepairsOptions;
  private readonly underWay = new Map<string, Promise<boolean>>();
  /** What could not be repaired when it was last tried; where there is no other member, it is not tried again. */
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
    const { segments, settings } = this.options;
    const { clock, healing } = settings;
    const deadlineMs = clock.nowMs() + LIMITS.repairWaitMs;
    if (!damage.segment.isSealed) throw beyondRepair(damage);
    while (healing.source !== undefined) {
      // It may have been removed, or another may have taken its place.
      if (this.closed || !segments.includes(damage.segment) || !damage.segment.isSealed) return;
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
    const { settings } = this.options;
    const { observer } = settings.healing;
    const { segment } = damage;
    const { group, directory, before, tail } = segment;
    if (!this.hopeless.has(directory)) observer.damaged(group, directory, damage);
    try {
      const fetched = await this.rebuild(segment);
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

  /**
   * Makes a damaged segment anew and puts it in its place; see segment-rebuild.ts. Resolves with how many records came
   * from other nodes.
   */
  private async rebuild(damaged: Segment): Promise<number> {
    const { segmentsPath, segments, removals, settings } = this.options;
    const { source } = settings.healing;
    const { tail } = damaged;
    // Truncated and sealed anew, it ends with another record.
    const isObsolete = (): boolean => this.closed || !damaged.isSealed || damaged.isRetired || damaged.tail !== tail;
    const fetched = await rebuildSegment(damaged, { segmentsPath, settings, source, isObsolete });
    await removals.run(async () => {
      if (isObsolete()) return await discardRebuilt(segmentsPath, settings.disk);
      await damaged.retire();
      await replaceSegment(segmentsPath, segmentName(damaged.header.sequence), settings.disk);
      const footer = present(
        await readFooter(settings.disk, damaged.directory),
        'a segment that was built anew is sealed',
      );
      const mended = Segment.sealedExisting(damaged.directory, damaged.header, footer, settings);
      segments.replace(damaged, mended);
      settings.indexer?.forget(damaged);
      settings.indexer?.want(mended);
    });
    return fetched;
  }
}

function beyondRepair(damage: SegmentDamage): FlotillaError {
  const { before, tail, directory } = damage.segment;
  return new FlotillaError(
    'DATA_LOSS',
    `${damage.message}. It lies among the records ${before.index + 1} to ${tail.index} of ${directory}` +
      `${eventsIn(damage.segment)}, and no other node could give it; what stands before and after it is served. ` +
      'With the node stopped, "flotilla verify" names each damage; a backup is put back with "flotilla restore": ' +
      'see docs/operating.md',
    { cause: damage },
  );
}

/** Readers know counters, not records. */
function eventsIn({ before, tail }: Segment): string {
  return tail.nextCounter === before.nextCounter
    ? ', which hold no events'
    : `, the events ${before.nextCounter} to ${tail.nextCounter - 1}`;
}
