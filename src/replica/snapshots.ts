import type { ActorId, GroupId, LogIndex } from '../base/index.js';
import { FlotillaError } from '../base/index.js';
import type { Message, Output, RaftCore, SnapshotChunk } from '../raft/index.js';
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from '../wire/index.js';
import type { HotLog } from './hot-log.js';
import type { Members } from './members.js';
import type { ReplicaObserver } from './observer.js';
import type { GroupLog, PersistRequest } from './ports.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import { SnapshotSender } from './snapshot-sender.js';
import type { StreamState } from './stream-state.js';

export interface SnapshotsOptions {
  readonly group: GroupId;
  readonly core: RaftCore;
  readonly log: HotLog;
  readonly members: Members;
  readonly stream: StreamState;
  readonly observer: ReplicaObserver;
  readonly stored: GroupLog;
  readonly persist: (request: PersistRequest) => void;
  /** False where the message was dropped. */
  readonly send: (to: ActorId, message: Message) => boolean;
  readonly onError: (error: unknown) => void;
}

/** Where the log begins: gives up its front, and lets followers that lack that begin where it does. */
export class Snapshots {
  readonly sender: SnapshotSender;
  /** The one that the log was replaced by last. */
  installed: Checkpoint | undefined;
  private readonly options: SnapshotsOptions;
  private readonly receiver = new SnapshotReceiver();
  private isCutting = false;

  constructor(options: SnapshotsOptions) {
    const { core, stored, send, onError } = options;
    this.options = options;
    const snapshot = async (index: LogIndex): Promise<Uint8Array> => encodeCheckpoint(await stored.checkpointAt(index));
    this.sender = new SnapshotSender({ core, snapshot, send, onError });
  }

  carryOut({ snapshotChunk, snapshotResults }: Output): void {
    if (snapshotChunk !== undefined) this.take(snapshotChunk.from, snapshotChunk.message);
    for (const result of snapshotResults) this.sender.answered(result);
  }

  /** Gives up whole segments in which nothing is delivered any more. */
  cut(): void {
    if (!this.isCutting) void this.cutWhatMay();
  }

  /**
   * Never rejects. What a segment builds on is read before the ones below it go: there would be nothing left to make it
   * from.
   */
  private async cutWhatMay(): Promise<void> {
    const { core, log, members, stored, group, persist, observer, onError } = this.options;
    this.isCutting = true;
    try {
      for (let through = this.cutPoint(); through > core.beginIndex; through = this.cutPoint()) {
        const { before } = await stored.checkpointAt(through);
        // A snapshot may have taken the log's place meanwhile.
        if (through <= core.beginIndex) continue;
        core.cutThrough(through);
        log.beginAfter(before);
        members.cutThrough(through);
        persist({ group, records: [], cutThrough: through });
      }
    } catch (error) {
      // The next begin of the log is another occasion.
      if (error instanceof FlotillaError) observer.retentionFailed?.(error);
      else onError(error);
    }
    this.isCutting = false;
  }

  private cutPoint(): LogIndex {
    const { stream, stored } = this.options;
    return stored.cutPoint(stream.logBegin.index);
  }

  private take(from: ActorId, chunk: SnapshotChunk): void {
    const { core, log, members, stream } = this.options;
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
    const machine = stream.decode(checkpoint);
    core.installSnapshot(before, { index: membershipIndex, configuration: membership });
    log.replaceWith(before);
    members.replaceWith({ index: membershipIndex, membership });
    stream.replaceWith(machine);
    this.installed = checkpoint;
  }
}
