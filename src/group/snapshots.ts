import { type ActorId, FlotillaError, type LogIndex } from '../base/index.js';
import type { StateMachine } from '../machine/index.js';
import type { Output, SnapshotChunk } from '../raft/index.js';
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from '../wire/index.js';
import type { AppliedState } from './applied-state.js';
import type { GroupParts } from './group-parts.js';
import type { Members } from './members.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import { SnapshotSender } from './snapshot-sender.js';

export interface SnapshotsOptions extends GroupParts {
  readonly members: Members;
  readonly state: AppliedState<StateMachine>;
}

/** Where the log begins: gives up its front, and lets followers that lack that begin where it does. */
export class Snapshots {
  readonly sender: SnapshotSender;
  /** The one that the log was replaced by last. */
  installed: Checkpoint | undefined;
  private readonly options: SnapshotsOptions;
  private readonly receiver = new SnapshotReceiver();
  private isCutting = false;
  /** What the log could be cut by when that was looked at last. */
  private seen = { expendableIndex: -1, checkpointIndex: -1 };

  constructor(options: SnapshotsOptions) {
    this.options = options;
    const { stored } = options;
    this.sender = new SnapshotSender({
      ...options,
      load: async (index) => encodeCheckpoint(await stored.checkpointAt(index)),
    });
  }

  carryOut({ snapshotChunk, snapshotResults }: Output): void {
    if (snapshotChunk !== undefined) this.take(snapshotChunk.from, snapshotChunk.message);
    for (const result of snapshotResults) this.sender.answered(result);
  }

  /** Gives up whole segments that nobody needs any more, where more may go than before. Called in each turn. */
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

  private take(from: ActorId, chunk: SnapshotChunk): void {
    const { core, log, members, state } = this.options;
    const { receivedBytes, whole } = this.receiver.take(chunk);
    core.snapshotReceived(from, chunk.index, receivedBytes);
    if (whole === undefined) return;
    const checkpoint = decodeCheckpoint(whole);
    const { before, membership, membershipIndex } = checkpoint;
    if (before.index !== chunk.index || before.term !== chunk.indexTerm) {
      throw new FlotillaError(
        'DATA_LOSS',
        `actor ${from} sent a snapshot of ${before.index} as one of ${chunk.index}: its log is damaged`,
      );
    }
    const machine = state.decode(checkpoint);
    core.installSnapshot(before, { index: membershipIndex, configuration: membership });
    log.replaceWith(before);
    members.replaceWith({ index: membershipIndex, membership });
    state.replaceWith(machine);
    this.installed = checkpoint;
  }
}
