import type { PersistStep } from '../raft/index.js';
import type { GroupParts } from './group-parts.js';
import type { Snapshots } from './snapshots.js';

export interface PersisterOptions
  extends Pick<GroupParts, 'group' | 'core' | 'log' | 'storage' | 'clock' | 'observer' | 'inbox'> {
  readonly snapshots: Snapshots;
}

/** Writes what consensus wants on disk, one step at a time. */
export class Persister {
  private readonly options: PersisterOptions;

  constructor(options: PersisterOptions) {
    this.options = options;
  }

  /** Begins the next write, where one is due and none is under way. */
  persist(): void {
    const step = this.options.core.takePersistStep();
    if (step !== undefined) void this.write(step);
  }

  private async write(step: PersistStep): Promise<void> {
    const { group, core, log, storage, clock, observer, inbox, snapshots } = this.options;
    const { fromIndex, throughIndex, truncateAfter, hardState, snapshotIndex } = step;
    const snapshot = snapshotIndex === undefined ? undefined : snapshots.installed;
    const records = throughIndex < fromIndex ? [] : log.hot(fromIndex, throughIndex, Number.POSITIVE_INFINITY);
    const startMs = clock.nowMs();
    try {
      if (records === undefined)
        throw new Error(`records ${fromIndex} to ${throughIndex} left the cache before they were durable`);
      await storage.persist([
        {
          group,
          records,
          ...(snapshot === undefined ? {} : { snapshot }),
          ...(truncateAfter === undefined ? {} : { truncateAfter }),
          ...(hardState === undefined ? {} : { hardState }),
        },
      ]);
    } catch (error) {
      inbox.fail(error);
      return;
    }
    const nowMs = clock.nowMs();
    observer.persisted((nowMs - startMs) / 1000, records.length);
    inbox.post(() => core.persisted(step, nowMs));
  }
}
