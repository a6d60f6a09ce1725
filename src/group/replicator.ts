import { type ActorId, FlotillaError, LIMITS, logIndex } from '../base/index.js';
import type { AppendPlan } from '../raft/index.js';
import { entryInfoOf, type LogRecord } from '../wire/index.js';
import type { GroupParts } from './group-parts.js';
import type { SnapshotSender } from './snapshot-sender.js';

export interface ReplicatorOptions
  extends Pick<GroupParts, 'group' | 'core' | 'log' | 'clock' | 'transport' | 'inbox'> {
  readonly snapshots: SnapshotSender;
}

/**
 * Sends each follower what it lacks, as far as its window allows: from memory
 * at once, from disk one read at a time.
 */
export class Replicator {
  private readonly options: ReplicatorOptions;
  private readonly reading = new Set<ActorId>();

  constructor(options: ReplicatorOptions) {
    this.options = options;
  }

  sendAll(): void {
    for (const peer of this.options.core.followers) this.sendTo(peer);
  }

  private sendTo(peer: ActorId): void {
    const { core, snapshots } = this.options;
    const snapshot = core.takeSnapshotPlan(peer);
    if (snapshot !== undefined) snapshots.begin(snapshot);
    while (!this.reading.has(peer)) {
      const plan = core.planAppend(peer);
      if (plan === undefined) return;
      const records = this.hotRecords(plan);
      if (records === undefined) void this.sendFromDisk(plan);
      else if (!this.sendAppend(plan, records)) return;
    }
  }

  private hotRecords(plan: AppendPlan): LogRecord[] | undefined {
    if (plan.previousIndex === plan.lastIndex) return [];
    return this.options.log.hot(logIndex(plan.previousIndex + 1), plan.lastIndex, LIMITS.appendMessageBytes);
  }

  private async sendFromDisk(plan: AppendPlan): Promise<void> {
    const { core, log, clock, inbox } = this.options;
    this.reading.add(plan.to);
    let dropped = false;
    let unreadable = false;
    try {
      const through = logIndex(Math.min(plan.lastIndex, core.durableIndex));
      const records = await log.read(logIndex(plan.previousIndex + 1), through, LIMITS.appendMessageBytes);
      dropped = !this.sendAppend(plan, records);
    } catch (error) {
      const code = error instanceof FlotillaError ? error.code : undefined;
      // What is damaged here may be had from another member, or may be repaired later, and a full disk may get space
      // again: the other followers go on meanwhile.
      unreadable = code === 'DATA_LOSS' || code === 'DISK_NEARLY_FULL';
      // The log was cut meanwhile: the follower gets a snapshot.
      if (!unreadable && code !== 'POSITION_REMOVED') inbox.fail(error);
    }
    if (unreadable) await new Promise<void>((resolve) => clock.after(LIMITS.repairRetryMs, resolve));
    this.reading.delete(plan.to);
    // Where the link takes nothing, the next input is soon enough: at once would read the same records over and over.
    if (!dropped) inbox.post();
  }

  /** False where nothing more can be sent to this follower for now. */
  private sendAppend(plan: AppendPlan, records: readonly LogRecord[]): boolean {
    const { group, core, clock, transport } = this.options;
    const message = core.fillAppend(plan, records.map(entryInfoOf), clock.nowMs());
    if (message === undefined || transport.send(plan.to, group, message, records)) return true;
    core.appendDropped(plan.to);
    return false;
  }
}
