import { FlotillaError, type LogIndex } from '../base/index.js';
import type { StateMachine } from '../machine/index.js';
import type { AppliedState } from './applied-state.js';
import type { GroupParts } from './group-parts.js';
import type { Members } from './members.js';

export interface LogCutterOptions
  extends Pick<GroupParts, 'group' | 'core' | 'log' | 'stored' | 'storage' | 'inbox' | 'observer'> {
  readonly members: Members;
  readonly state: AppliedState<StateMachine>;
}

/** Gives up the front of the log, as far as it is not needed. */
export class LogCutter {
  private readonly options: LogCutterOptions;
  private isCutting = false;
  /** What the log could be cut by when that was looked at last. */
  private seen = { expendableIndex: -1, checkpointIndex: -1 };

  constructor(options: LogCutterOptions) {
    this.options = options;
  }

  /** Gives up whole segments that are no longer needed, where more may go than before. Called in each turn. */
  cut(): void {
    const { state } = this.options;
    const { durableCheckpointIndex: checkpointIndex } = state;
    const { expendableIndex } = state.machine;
    const isNews = expendableIndex !== this.seen.expendableIndex || checkpointIndex !== this.seen.checkpointIndex;
    if (!isNews || this.isCutting) return;
    this.seen = { expendableIndex, checkpointIndex };
    void this.cutWhatMay();
  }

  /**
   * Never rejects. What a segment builds on is read before the ones below it go: there would be nothing left to make it
   * from.
   */
  private async cutWhatMay(): Promise<void> {
    const { core, log, members, stored, group, storage, observer, inbox } = this.options;
    this.isCutting = true;
    try {
      for (let through = this.cutPoint(); through > core.beginIndex; through = this.cutPoint()) {
        const { before } = await stored.checkpointAt(through);
        // A snapshot may have taken the log's place meanwhile.
        if (through <= core.beginIndex) continue;
        core.cutThrough(through);
        log.beginAfter(before);
        members.cutThrough(through);
        storage.persist([{ group, records: [], cutThrough: through }]).catch((error: unknown) => inbox.fail(error));
      }
    } catch (error) {
      // The next begin of the log is another occasion.
      if (error instanceof FlotillaError) observer.cutFailed?.(error);
      else inbox.fail(error);
    }
    this.isCutting = false;
  }

  private cutPoint(): LogIndex {
    const { state, stored } = this.options;
    return stored.cutPoint(state.machine.expendableIndex);
  }
}
