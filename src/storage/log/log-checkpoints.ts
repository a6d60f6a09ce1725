import { FlotillaError, type LogIndex, logIndex } from '../../base/index.js';
import type { IndexedState, StateMachine, StoredMachine } from '../../group/index.js';
import type { Checkpoint, LogRecord } from '../../wire/index.js';
import type { Disk } from '../disk/index.js';
import { type CheckpointPlace, originOf, readCheckpoint, writeCheckpoint } from '../segment/index.js';
import type { RemovalBarrier } from './removal-barrier.js';

import { givenUp, type SegmentList } from './segment-list.js';
import { type ReplayedLog, recoverState, stateAt } from './state-replay.js';

export interface LogCheckpointsOptions {
  readonly segments: SegmentList;
  readonly removals: RemovalBarrier;
  readonly disk: Disk;
  readonly machine: StoredMachine;
  readonly read: (from: LogIndex, to: LogIndex, maxBytes: number) => Promise<LogRecord[]>;
}

/** The checkpoints of one log's segments, and where it may be cut for that reason. */
export class LogCheckpoints {
  private readonly options: LogCheckpointsOptions;
  /** Every segment that begins up to here has its checkpoint. */
  private through = logIndex(0);
  private lastWrite: Promise<void> = Promise.resolve();

  constructor(options: LogCheckpointsOptions) {
    this.options = options;
  }

  /** See `GroupLog.cutPoint`. */
  cutPoint(index: LogIndex): LogIndex {
    const { segments } = this.options;
    const limit = Math.min(index, this.through);
    return (segments.lastWhere(({ before }) => before.index <= limit) ?? segments.oldest).before.index;
  }

  /** See `GroupLog.checkpointAt`. */
  async at(index: LogIndex): Promise<Checkpoint> {
    const { segments, removals } = this.options;
    return await removals.beside(async () => {
      if (index < segments.oldest.before.index) throw givenUp(index, segments.oldest.before);
      const segment = segments.beginningAfter(index);
      return { ...originOf(segment.header), state: await this.encodedAt(segment) };
    });
  }

  /** The checkpoint as it stands there. To make it again from those before it takes long where the state is large. */
  private async encodedAt(place: CheckpointPlace): Promise<Uint8Array> {
    try {
      return Uint8Array.from(await readCheckpoint(this.options.disk, place));
    } catch (error) {
      if (!(error instanceof FlotillaError) || error.code !== 'DATA_LOSS') throw error;
      return (await this.stateAt(place.before.index)).encode();
    }
  }

  /**
   * Makes sure of the checkpoints up to a committed record, after a start, and returns the state as of it. Throws
   * DATA_LOSS without the first.
   */
  async recover(index: LogIndex): Promise<StateMachine> {
    const state = await recoverState(this.replayed(), index, this.options.disk);
    this.through = index;
    return state;
  }

  /** See `GroupLog.checkpointDue`. */
  due(from: LogIndex): LogIndex | undefined {
    const { segments } = this.options;
    const done = Math.max(this.through, from - 1);
    if (segments.youngest.before.index <= done) return undefined;
    const last = segments.lastWhere(({ before }) => before.index <= done);
    return (last === undefined ? segments.oldest : segments.following(last))?.before.index;
  }

  /** Writes the checkpoint of the segment that begins after this record. */
  async add({ index, state }: IndexedState): Promise<void> {
    await this.write(this.options.segments.beginningAfter(index), state);
    this.through = index;
  }

  /** The log was replaced by one that begins with a checkpoint. */
  beginsAnew(index: LogIndex): void {
    this.through = index;
  }

  /**
   * What the group's records up to this one, which is committed, have led to. Checkpoints below it that are damaged
   * are made again.
   */
  private async stateAt(index: LogIndex): Promise<StateMachine> {
    return await stateAt(this.replayed(), index, this.options.disk);
  }

  private replayed(): ReplayedLog {
    const { segments, machine, read } = this.options;
    return { machine, places: [...segments.all], read, writeCheckpoint: (place, state) => this.write(place, state) };
  }

  /** One at a time, because two of one place would be made under one temporary name. */
  private async write(place: CheckpointPlace, state: Uint8Array): Promise<void> {
    const { removals, disk } = this.options;
    const write = this.lastWrite.then(() => removals.undisturbed(() => writeCheckpoint(disk, place, state)));
    // The next caller only waits for its end.
    this.lastWrite = write.catch(() => undefined);
    await write;
  }
}
