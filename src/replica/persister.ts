import type { GroupId } from '../base/index.js';
import type { PersistStep, RaftCore } from '../raft/index.js';
import type { Checkpoint } from '../wire/index.js';
import type { HotLog } from './hot-log.js';
import type { ReplicaObserver } from './observer.js';
import type { Clock, Storage } from './ports.js';

/** Writes what consensus wants on disk, one step at a time. */
export class Persister {
  private readonly group: GroupId;
  private readonly core: RaftCore;
  private readonly log: HotLog;
  private readonly storage: Storage;
  private readonly clock: Clock;
  private readonly observer: ReplicaObserver;
  /** What the log was replaced by, where a step is to do that on disk. */
  private readonly snapshot: () => Checkpoint | undefined;
  /** Called when a step is on disk. */
  private readonly onPersisted: (step: PersistStep, nowMs: number) => void;
  private readonly onError: (error: unknown) => void;

  constructor(options: {
    group: GroupId;
    core: RaftCore;
    log: HotLog;
    storage: Storage;
    clock: Clock;
    observer: ReplicaObserver;
    snapshot: Persister['snapshot'];
    onPersisted: Persister['onPersisted'];
    onError: Persister['onError'];
  }) {
    this.group = options.group;
    this.core = options.core;
    this.log = options.log;
    this.storage = options.storage;
    this.clock = options.clock;
    this.observer = options.observer;
    this.snapshot = options.snapshot;
    this.onPersisted = options.onPersisted;
    this.onError = options.onError;
  }

  /** Begins the next write, where one is due and none is under way. */
  persist(): void {
    const step = this.core.takePersistStep();
    if (step !== undefined) void this.write(step);
  }

  private async write(step: PersistStep): Promise<void> {
    const { fromIndex, throughIndex, truncateAfter, hardState, snapshotIndex } = step;
    const snapshot = snapshotIndex === undefined ? undefined : this.snapshot();
    const records = throughIndex < fromIndex ? [] : this.log.hot(fromIndex, throughIndex, Number.POSITIVE_INFINITY);
    const startMs = this.clock.nowMs();
    try {
      if (records === undefined)
        throw new Error(`records ${fromIndex} to ${throughIndex} left the cache before they were durable`);
      await this.storage.persist([
        {
          group: this.group,
          records,
          ...(snapshot === undefined ? {} : { snapshot }),
          ...(truncateAfter === undefined ? {} : { truncateAfter }),
          ...(hardState === undefined ? {} : { hardState }),
        },
      ]);
    } catch (error) {
      this.onError(error);
      return;
    }
    const nowMs = this.clock.nowMs();
    this.observer.persisted((nowMs - startMs) / 1000, records.length);
    this.onPersisted(step, nowMs);
  }
}
