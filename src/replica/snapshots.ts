import type { ActorId, GroupId, LogIndex } from '../base/index.js';
import { FlotillaError } from '../base/index.js';
import type { Message, Output, RaftCore, SnapshotChunk } from '../raft/index.js';
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from '../wire/index.js';
import type { HotLog } from './hot-log.js';
import type { Members } from './members.js';
import type { GroupLog, PersistRequest } from './ports.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import { SnapshotSender } from './snapshot-sender.js';

export interface SnapshotsOptions {
  readonly group: GroupId;
  readonly core: RaftCore;
  readonly log: HotLog;
  readonly members: Members;
  readonly stored: GroupLog;
  readonly persist: (request: PersistRequest) => void;
  /** False where the message was dropped. */
  readonly send: (to: ActorId, message: Message) => boolean;
}

/** Where the log begins: gives up its front, and lets followers that lack that begin where it does. */
export class Snapshots {
  readonly sender: SnapshotSender;
  /** The one that the log was replaced by last. */
  installed: Checkpoint | undefined;
  private readonly options: SnapshotsOptions;
  private readonly receiver = new SnapshotReceiver();

  constructor(options: SnapshotsOptions) {
    const { core, stored, send } = options;
    this.options = options;
    this.sender = new SnapshotSender({ core, snapshot: () => encodeCheckpoint(stored.checkpointAt(core.beginIndex)), send });
  }

  carryOut({ snapshotChunk, snapshotResults }: Output): void {
    if (snapshotChunk !== undefined) this.take(snapshotChunk.from, snapshotChunk.message);
    for (const result of snapshotResults) this.sender.answered(result);
  }

  /** Gives up whole segments up to `index`, of what is settled. */
  cut(index: LogIndex): void {
    const { core, log, members, stored, group, persist } = this.options;
    const through = stored.cutPoint(index);
    if (through <= core.beginIndex) return;
    core.cutThrough(through);
    log.beginAfter(stored.checkpointAt(through).before);
    members.cutThrough(through);
    persist({ group, records: [], cutThrough: through });
  }

  private take(from: ActorId, chunk: SnapshotChunk): void {
    const { core, log, members } = this.options;
    const { receivedBytes, whole } = this.receiver.take(chunk);
    core.snapshotReceived(from, chunk.index, receivedBytes);
    if (whole === undefined) return;
    const checkpoint = decodeCheckpoint(whole);
    const { before, membership, membershipIndex } = checkpoint;
    if (before.index !== chunk.index || before.term !== chunk.indexTerm) {
      throw new FlotillaError('DATA_LOSS', `actor ${from} sent a snapshot of ${before.index} as one of ${chunk.index}: its log is damaged`);
    }
    core.installSnapshot(before, { index: membershipIndex, configuration: membership });
    log.replaceWith(before);
    members.replaceWith({ index: membershipIndex, membership });
    this.installed = checkpoint;
  }
}
