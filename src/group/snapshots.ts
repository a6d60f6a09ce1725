import { type ActorId, FlotillaError } from '../base/index.js';
import type { StateMachine } from '../machine/index.js';
import type { Output, SnapshotChunk } from '../raft/index.js';
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from '../wire/index.js';
import type { AppliedState } from './applied-state.js';
import type { GroupParts } from './group-parts.js';
import type { Members } from './members.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import { SnapshotSender } from './snapshot-sender.js';

export interface SnapshotsOptions
  extends Pick<GroupParts, 'group' | 'core' | 'log' | 'stored' | 'transport' | 'inbox'> {
  readonly members: Members;
  readonly state: AppliedState<StateMachine>;
}

/** Lets followers that lack what the log no longer holds begin where it does, and begins so where the leader's does. */
export class Snapshots {
  readonly sender: SnapshotSender;
  /** The one that the log was replaced by last. */
  installed: Checkpoint | undefined;
  private readonly options: SnapshotsOptions;
  private readonly receiver = new SnapshotReceiver();

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
