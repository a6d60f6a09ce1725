import { assert, BoundedQueue, type GroupId, LIMITS, type LogIndex } from '../../base/index.js';
import type { IndexedState, PersistRequest } from '../../group/index.js';
import type { HardState } from '../../raft/index.js';
import type { Checkpoint, LogRecord } from '../../wire/index.js';
import type { GroupWrite } from './group-store.js';

/** A call of persist that waits. */
export interface WaitingWrite {
  readonly requests: readonly PersistRequest[];
  readonly bytes: number;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * Group commit: calls that come in while a write is under way wait here and go
 * together into the next one, so that a disk that syncs a thousand times a
 * second takes more than a thousand calls.
 */
export class WriteQueue {
  private readonly waiting = new BoundedQueue<WaitingWrite>(LIMITS.pendingPersists);

  get length(): number {
    return this.waiting.length;
  }

  push(write: WaitingWrite): void {
    assert(this.waiting.push(write), `more than ${LIMITS.pendingPersists} writes wait for the disk`);
  }

  /** The calls of the next write, oldest first: as many as fit into its bound, at least one. */
  takeGroup(): WaitingWrite[] {
    const taken: WaitingWrite[] = [];
    for (let bytes = 0; ; ) {
      const next = this.waiting.peek();
      if (next === undefined || (taken.length > 0 && bytes + next.bytes > LIMITS.writeGroupBytes)) return taken;
      bytes += next.bytes;
      taken.push(next);
      this.waiting.shift();
    }
  }

  drain(): WaitingWrite[] {
    return this.waiting.drain();
  }
}

export function bytesOf(requests: readonly PersistRequest[]): number {
  return requests.reduce(
    (sum, { records }) => records.reduce((bytes, record) => bytes + record.bytes.byteLength, sum),
    0,
  );
}

/**
 * One write per group that does what these requests do one after another:
 * records that a later request truncates are never written, and of several hard
 * states the last one is.
 */
export function mergeByGroup(requests: readonly PersistRequest[]): Map<GroupId, GroupWrite> {
  const merged = new Map<GroupId, MergedWrite>();
  for (const request of requests) {
    const write = merged.get(request.group) ?? {
      records: [],
      snapshot: undefined,
      truncateAfter: undefined,
      hardState: undefined,
      cutThrough: undefined,
      checkpoints: [],
    };
    merged.set(request.group, write);
    addTo(write, request);
  }
  return merged;
}

interface MergedWrite extends GroupWrite {
  snapshot: Checkpoint | undefined;
  cutThrough: LogIndex | undefined;
  truncateAfter: LogIndex | undefined;
  readonly records: LogRecord[];
  hardState: HardState | undefined;
  readonly checkpoints: IndexedState[];
}

function addTo(
  write: MergedWrite,
  { snapshot, truncateAfter, records, hardState, cutThrough, checkpoint }: PersistRequest,
): void {
  if (snapshot !== undefined) {
    Object.assign(write, { snapshot, truncateAfter: undefined, cutThrough: undefined });
    write.records.length = 0;
  }
  if (truncateAfter !== undefined) {
    const first = write.records.findIndex(({ index }) => index > truncateAfter);
    if (first !== -1) write.records.length = first;
    // Where records of this very write are left in front of it, the truncation does not reach what is on disk.
    if (write.records.length === 0 && (write.truncateAfter === undefined || truncateAfter < write.truncateAfter))
      write.truncateAfter = truncateAfter;
  }
  for (const record of records) write.records.push(record);
  if (hardState !== undefined) write.hardState = hardState;
  if (cutThrough !== undefined) write.cutThrough = cutThrough;
  if (checkpoint !== undefined) write.checkpoints.push(checkpoint);
}
