import { type ActorId, FlotillaError, LIMITS, logIndex } from '../base/index.js';
import type { Append, AppendPlan, RaftCore, SnapshotPlan } from '../raft/index.js';
import { entryInfoOf, type LogRecord } from '../wire/index.js';
import type { HotLog } from './hot-log.js';
import type { Clock } from './ports.js';

/**
 * Sends each follower what it lacks, as far as its window allows: from memory
 * at once, from disk one read at a time.
 */
export class Replicator {
  private readonly core: RaftCore;
  private readonly log: HotLog;
  private readonly clock: Clock;
  /** False where the message was dropped. */
  private readonly send: (to: ActorId, message: Append, records: readonly LogRecord[]) => boolean;
  private readonly beginSnapshot: (plan: SnapshotPlan) => void;
  private readonly onError: (error: unknown) => void;
  /** Called when a read from disk has ended, and more may be sent. */
  private readonly onProgress: () => void;
  private readonly reading = new Set<ActorId>();

  constructor(options: {
    core: RaftCore;
    log: HotLog;
    clock: Clock;
    send: Replicator['send'];
    beginSnapshot: Replicator['beginSnapshot'];
    onError: (error: unknown) => void;
    onProgress: () => void;
  }) {
    this.core = options.core;
    this.log = options.log;
    this.clock = options.clock;
    this.send = options.send;
    this.beginSnapshot = options.beginSnapshot;
    this.onError = options.onError;
    this.onProgress = options.onProgress;
  }

  sendAll(): void {
    for (const peer of this.core.followers) this.sendTo(peer);
  }

  private sendTo(peer: ActorId): void {
    const snapshot = this.core.takeSnapshotPlan(peer);
    if (snapshot !== undefined) this.beginSnapshot(snapshot);
    while (!this.reading.has(peer)) {
      const plan = this.core.planAppend(peer);
      if (plan === undefined) return;
      const records = this.hotRecords(plan);
      if (records === undefined) void this.sendFromDisk(plan);
      else if (!this.sendAppend(plan, records)) return;
    }
  }

  private hotRecords(plan: AppendPlan): LogRecord[] | undefined {
    if (plan.previousIndex === plan.lastIndex) return [];
    return this.log.hot(logIndex(plan.previousIndex + 1), plan.lastIndex, LIMITS.appendMessageBytes);
  }

  private async sendFromDisk(plan: AppendPlan): Promise<void> {
    this.reading.add(plan.to);
    let dropped = false;
    let unreadable = false;
    try {
      const through = logIndex(Math.min(plan.lastIndex, this.core.durableIndex));
      const records = await this.log.read(logIndex(plan.previousIndex + 1), through, LIMITS.appendMessageBytes);
      dropped = !this.sendAppend(plan, records);
    } catch (error) {
      const code = error instanceof FlotillaError ? error.code : undefined;
      // What is damaged here may be had from another member, or may be repaired later, and a full disk may get room:
      // the others go on meanwhile.
      unreadable = code === 'DATA_LOSS' || code === 'DISK_NEARLY_FULL';
      // The log was cut meanwhile: the follower gets a snapshot.
      if (!unreadable && code !== 'POSITION_REMOVED') this.onError(error);
    }
    if (unreadable) await new Promise<void>((resolve) => this.clock.after(LIMITS.repairRetryMs, resolve));
    this.reading.delete(plan.to);
    // Where the link takes nothing, the next input is soon enough: at once would read the same records over and over.
    if (!dropped) this.onProgress();
  }

  /** False where nothing more can be sent to this follower for now. */
  private sendAppend(plan: AppendPlan, records: readonly LogRecord[]): boolean {
    const message = this.core.fillAppend(plan, records.map(entryInfoOf), this.clock.nowMs());
    if (message === undefined || this.send(plan.to, message, records)) return true;
    this.core.appendDropped(plan.to);
    return false;
  }
}
