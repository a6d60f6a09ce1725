import { createHash } from 'node:crypto';
import { LIMITS, type LogIndex } from '../base/index.js';
import type { SnapshotChunk } from '../raft/index.js';

/** Puts the pieces of a snapshot together. One at a time: another one takes the place of what had come. */
export class SnapshotReceiver {
  private index: LogIndex | undefined;
  private digest = '';
  private pieces: Uint8Array[] = [];
  private receivedBytes = 0;

  /**
   * Takes in one piece. Returns how much is here now, for the leader to go on
   * from, and the whole once it is here and its digest is right; where that is
   * wrong, everything is asked for again.
   */
  take(chunk: SnapshotChunk): { readonly receivedBytes: number; readonly whole?: Uint8Array } {
    if (chunk.index !== this.index || chunk.digest !== this.digest) this.begin(chunk);
    if (chunk.offset !== this.receivedBytes || chunk.totalBytes > LIMITS.snapshotBytes)
      return { receivedBytes: this.receivedBytes };
    this.pieces.push(chunk.data);
    this.receivedBytes += chunk.data.byteLength;
    const { receivedBytes } = this;
    if (receivedBytes < chunk.totalBytes) return { receivedBytes };
    const whole = Buffer.concat(this.pieces);
    this.forget();
    return snapshotDigest(whole) === chunk.digest ? { receivedBytes, whole } : { receivedBytes: 0 };
  }

  private begin({ index, digest }: SnapshotChunk): void {
    this.forget();
    this.index = index;
    this.digest = digest;
  }

  private forget(): void {
    this.index = undefined;
    this.digest = '';
    this.pieces = [];
    this.receivedBytes = 0;
  }
}

/** SHA-256, 64 hexadecimal digits. */
export function snapshotDigest(whole: Uint8Array): string {
  return createHash('sha256').update(whole).digest('hex');
}
