import { type ActorId, LIMITS, type LogIndex } from '../base/index.js';
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
  /** What stands before the log's begin, as bytes. */
  private readonly snapshot: () => Uint8Array;
  /** False where the message was dropped. */
  private readonly send: (to: ActorId, message: SnapshotChunk) => boolean;
  private readonly chunkBytes: number;
  private readonly transfers = new Map<ActorId, Transfer>();

  constructor(options: { core: RaftCore; snapshot: () => Uint8Array; send: SnapshotSender['send']; chunkBytes?: number }) {
    this.core = options.core;
    this.snapshot = options.snapshot;
    this.send = options.send;
    this.chunkBytes = options.chunkBytes ?? LIMITS.snapshotChunkBytes;
  }

  begin(plan: SnapshotPlan): void {
    for (const [to, { plan: earlier }] of this.transfers) if (!this.core.isTakingSnapshot(to, earlier.index)) this.transfers.delete(to);
    const whole = this.snapshot();
    this.transfers.set(plan.to, { plan, whole, digest: snapshotDigest(whole) });
    this.sendFrom(plan.to, 0);
  }

  /** A follower has so much of it. Where that is all of it, what it says next is that the whole is durable. */
  answered({ from, index, receivedBytes }: { readonly from: ActorId; readonly index: LogIndex; readonly receivedBytes: number }): void {
    const transfer = this.transfers.get(from);
    if (transfer?.plan.index !== index || transfer.plan.term !== this.core.term) return;
    if (receivedBytes < transfer.whole.byteLength) this.sendFrom(from, receivedBytes);
  }

  private sendFrom(to: ActorId, offset: number): void {
    const transfer = this.transfers.get(to);
    if (transfer === undefined) return;
    const { plan, whole, digest } = transfer;
    const sent = this.send(to, {
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
