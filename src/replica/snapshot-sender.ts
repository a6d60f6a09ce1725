import { type ActorId, FlotillaError, LIMITS, type LogIndex } from '../base/index.js';
import type { RaftCore, SnapshotChunk, SnapshotPlan } from '../raft/index.js';
import { snapshotDigest } from './snapshot-receiver.js';

interface Transfer {
  readonly plan: SnapshotPlan;
  readonly whole: Uint8Array;
  readonly digest: string;
}

/** Sends followers what stands before the log's begin, piece by piece: the next one when the last has been taken in. */
export class SnapshotSender {
  private readonly core: RaftCore;
  /**
   * What stands before a log that begins after this entry, as bytes. Rejects with POSITION_REMOVED where it does no
   * more.
   */
  private readonly snapshot: (index: LogIndex) => Uint8Array | Promise<Uint8Array>;
  /** False where the message was dropped. */
  private readonly sendPiece: (to: ActorId, message: SnapshotChunk) => boolean;
  private readonly onError: (error: unknown) => void;
  private readonly chunkBytes: number;
  private readonly transfers = new Map<ActorId, Transfer>();

  constructor(options: {
    core: RaftCore;
    snapshot: SnapshotSender['snapshot'];
    send: SnapshotSender['sendPiece'];
    onError: SnapshotSender['onError'];
    chunkBytes?: number;
  }) {
    this.core = options.core;
    this.snapshot = options.snapshot;
    this.sendPiece = options.send;
    this.onError = options.onError;
    this.chunkBytes = options.chunkBytes ?? LIMITS.snapshotChunkBytes;
  }

  begin(plan: SnapshotPlan): void {
    for (const [to, { plan: earlier }] of this.transfers)
      if (!this.core.isTakingSnapshot(to, earlier.index)) this.transfers.delete(to);
    const whole = this.snapshot(plan.index);
    if (whole instanceof Uint8Array) this.send(plan, whole);
    else void this.sendLoaded(plan, whole);
  }

  private send(plan: SnapshotPlan, whole: Uint8Array): void {
    this.transfers.set(plan.to, { plan, whole, digest: snapshotDigest(whole) });
    this.sendFrom(plan.to, 0);
  }

  /** Never rejects. */
  private async sendLoaded(plan: SnapshotPlan, loading: Promise<Uint8Array>): Promise<void> {
    const { to, index, term } = plan;
    const isWanted = (): boolean => this.core.term === term && this.core.isTakingSnapshot(to, index);
    try {
      const whole = await loading;
      if (isWanted()) this.send(plan, whole);
    } catch (error) {
      if (!(error instanceof FlotillaError) || error.code !== 'POSITION_REMOVED') this.onError(error);
      // The log begins later by now: the follower is due for that.
      else if (isWanted()) this.core.appendDropped(to);
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
    if (transfer?.plan.index !== index || transfer.plan.term !== this.core.term) return;
    if (receivedBytes < transfer.whole.byteLength) this.sendFrom(from, receivedBytes);
  }

  private sendFrom(to: ActorId, offset: number): void {
    const transfer = this.transfers.get(to);
    if (transfer === undefined) return;
    const { plan, whole, digest } = transfer;
    const sent = this.sendPiece(to, {
      type: 'snapshot',
      term: plan.term,
      index: plan.index,
      indexTerm: plan.indexTerm,
      offset,
      totalBytes: whole.byteLength,
      digest,
      data: whole.subarray(offset, offset + this.chunkBytes),
    });
    if (!sent) this.core.appendDropped(to);
  }
}
