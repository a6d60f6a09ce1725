import { type ActorId, FlotillaError, LIMITS, type LogIndex } from '../base/index.js';
import type { SnapshotPlan } from '../raft/index.js';
import type { GroupParts } from './group-parts.js';
import type { Inbox } from './inbox.js';
import { snapshotDigest } from './snapshot-receiver.js';

interface Transfer {
  readonly plan: SnapshotPlan;
  readonly whole: Uint8Array;
  readonly digest: string;
}

export interface SnapshotSenderOptions extends Pick<GroupParts, 'group' | 'core' | 'transport'> {
  readonly inbox: Pick<Inbox, 'fail'>;
  /** What a log that begins after this record builds on. Rejects with POSITION_REMOVED where it begins later by now. */
  readonly load: (index: LogIndex) => Uint8Array | Promise<Uint8Array>;
  readonly chunkBytes?: number;
}

/** Sends followers what stands before the log's begin, piece by piece: the next one when the last has been taken in. */
export class SnapshotSender {
  private readonly options: SnapshotSenderOptions;
  private readonly transfers = new Map<ActorId, Transfer>();

  constructor(options: SnapshotSenderOptions) {
    this.options = options;
  }

  begin(plan: SnapshotPlan): void {
    for (const [to, { plan: earlier }] of this.transfers)
      if (!this.options.core.isTakingSnapshot(to, earlier.index)) this.transfers.delete(to);
    const whole = this.options.load(plan.index);
    if (whole instanceof Uint8Array) this.send(plan, whole);
    else void this.sendLoaded(plan, whole);
  }

  private send(plan: SnapshotPlan, whole: Uint8Array): void {
    this.transfers.set(plan.to, { plan, whole, digest: snapshotDigest(whole) });
    this.sendFrom(plan.to, 0);
  }

  /** Never rejects: a snapshot that can't be loaded is this node's failure. */
  private async sendLoaded(plan: SnapshotPlan, loading: Promise<Uint8Array>): Promise<void> {
    const { core, inbox } = this.options;
    const { to, index, term } = plan;
    const isWanted = (): boolean => core.term === term && core.isTakingSnapshot(to, index);
    try {
      const whole = await loading;
      if (isWanted()) this.send(plan, whole);
    } catch (error) {
      if (!(error instanceof FlotillaError) || error.code !== 'POSITION_REMOVED') inbox.fail(error);
      // The log begins later by now: the follower is due for that.
      else if (isWanted()) core.appendDropped(to);
    }
  }

  /** A follower has so much of it. Where that is all of it, what it says next is that the whole is durable. */
  answered({
    from,
    index,
    receivedBytes,
  }: {
    readonly from: ActorId;
    readonly index: LogIndex;
    readonly receivedBytes: number;
  }): void {
    const transfer = this.transfers.get(from);
    if (transfer?.plan.index !== index || transfer.plan.term !== this.options.core.term) return;
    if (receivedBytes < transfer.whole.byteLength) this.sendFrom(from, receivedBytes);
  }

  private sendFrom(to: ActorId, offset: number): void {
    const transfer = this.transfers.get(to);
    if (transfer === undefined) return;
    const { group, core, transport, chunkBytes = LIMITS.snapshotChunkBytes } = this.options;
    const { plan, whole, digest } = transfer;
    const chunk = {
      type: 'snapshot',
      term: plan.term,
      index: plan.index,
      indexTerm: plan.indexTerm,
      offset,
      totalBytes: whole.byteLength,
      digest,
      data: whole.subarray(offset, offset + chunkBytes),
    } as const;
    if (!transport.send(to, group, chunk, [])) core.appendDropped(to);
  }
}
