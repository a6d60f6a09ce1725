import { counter, FlotillaError, LIMITS, type LogIndex, logIndex } from '../base/index.js';
import type { Clock, Deadline, Deadlines, GroupLog } from '../group/index.js';
import { logBeginCommand, type StreamSettings, settingsCommand } from '../machine/stream/index.js';
import type { LogRecord } from '../wire/index.js';
import { LogTimeKeeper } from './log-time-keeper.js';
import type { StreamGroup } from './stream-group.js';
import type { StreamState } from './stream-state.js';

export interface RetentionOptions {
  readonly group: StreamGroup;
  readonly state: StreamState;
  readonly stored: Pick<GroupLog, 'indexOfBytes'>;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** The first leader gives them to a stream that has none yet; absent: it stays without. */
  readonly initialSettings?: StreamSettings;
  /** How often a leader looks for what is to be given up; default: `LIMITS.retentionCheckMs`. */
  readonly retentionCheckMs?: number;
  /** What the settings allow could not be brought about; it is tried again. */
  readonly onRetentionFailed: (error: FlotillaError) => void;
  readonly onFatal: (error: unknown) => void;
}

/**
 * Keeps a stream within its settings. The leader alone finds out where the log should begin by now, at most once an
 * interval, and says so in a record; that takes effect everywhere at the same place of the log. It looks up one place
 * and writes one record, however many events that removes, and waits for no node: a follower that lacks what is given
 * up gets a snapshot.
 *
 * Where nothing was appended since, nothing is looked for, so that the group may quiesce; but what gets too old has a
 * deadline of its own.
 */
export class Retention {
  private readonly options: RetentionOptions;
  private readonly deadline: Deadline;
  private readonly logTime: LogTimeKeeper;
  private dueMs = Number.POSITIVE_INFINITY;
  private isChecking = false;
  /** As of the last look. */
  private checkedIndex = -1;
  private checkedMs = Number.NEGATIVE_INFINITY;
  /** When the first event that is kept gets too old, or a failed look is tried again. */
  private againMs = Number.POSITIVE_INFINITY;

  constructor(options: RetentionOptions) {
    this.options = options;
    this.deadline = options.deadlines.add(() => void this.check());
    this.logTime = new LogTimeKeeper(options);
  }

  /** Something may have changed. Called often. */
  notice(): void {
    const dueMs = this.nextDueMs();
    if (dueMs === Number.POSITIVE_INFINITY ? this.dueMs === dueMs : this.dueMs <= dueMs) return;
    this.dueMs = dueMs;
    this.deadline.set(dueMs);
  }

  /** The clocks of the nodes were compared. */
  clocksCompared(): void {
    this.logTime.check();
  }

  stop(): void {
    this.deadline.cancel();
  }

  private get lacksSettings(): boolean {
    return this.options.state.settings === undefined && this.options.initialSettings !== undefined;
  }

  private nextDueMs(): number {
    const { group, state, clock, retentionCheckMs: intervalMs = LIMITS.retentionCheckMs } = this.options;
    if (group.role !== 'leader' || this.isChecking) return Number.POSITIVE_INFINITY;
    const isNews = state.appliedIndex !== this.checkedIndex;
    if (this.lacksSettings) return isNews ? clock.nowMs() : this.againMs;
    const { maxEvents, maxBytes, maxAgeMs } = state.settings ?? {};
    if (maxEvents === undefined && maxBytes === undefined && maxAgeMs === undefined) return Number.POSITIVE_INFINITY;
    return isNews ? Math.max(clock.nowMs(), Math.min(this.checkedMs + intervalMs, this.againMs)) : this.againMs;
  }

  private async check(): Promise<void> {
    const { group, state, clock, onRetentionFailed, onFatal } = this.options;
    this.dueMs = Number.POSITIVE_INFINITY;
    if (group.role !== 'leader' || this.isChecking) return;
    this.isChecking = true;
    this.checkedIndex = state.appliedIndex;
    this.checkedMs = clock.nowMs();
    this.againMs = Number.POSITIVE_INFINITY;
    try {
      await this.bringAbout();
    } catch (error) {
      if (!(error instanceof FlotillaError)) onFatal(error);
      else if (!EXPECTED.has(error.code)) onRetentionFailed(error);
      this.againMs = clock.nowMs() + LIMITS.retentionRetryMs;
    }
    this.isChecking = false;
    this.notice();
  }

  private async bringAbout(): Promise<void> {
    const { group, state, initialSettings } = this.options;
    if (!group.leadsWithCertainty) return;
    if (state.settings === undefined) {
      if (initialSettings !== undefined)
        await group.execute(settingsCommand(group.self, { changes: initialSettings, onlyFirst: true }));
      return;
    }
    const applied = { index: state.appliedIndex, nextCounter: state.nextCounter };
    const firstCounter = await this.firstToKeep(state.settings, applied);
    if (firstCounter > state.first.firstCounter) {
      const index = firstCounter >= applied.nextCounter ? applied.index : await this.indexBefore(firstCounter);
      if (index !== undefined)
        await group.execute(logBeginCommand(group.self, { firstCounter: counter(firstCounter), index }));
    }
    if (state.settings.maxAgeMs !== undefined) await this.planAge(state.settings.maxAgeMs);
  }

  private async firstToKeep(
    { maxEvents, maxBytes, maxAgeMs }: StreamSettings,
    applied: { readonly index: LogIndex; readonly nextCounter: number },
  ): Promise<number> {
    const { stored } = this.options;
    let first = 1;
    if (maxEvents !== undefined) first = applied.nextCounter - maxEvents;
    if (maxBytes !== undefined) {
      const index = await stored.indexOfBytes(maxBytes);
      if (index !== undefined) first = Math.max(first, await this.counterAt(index, applied));
    }
    if (maxAgeMs !== undefined) first = Math.max(first, await this.firstByAge(maxAgeMs, applied.index));
    return Math.min(first, applied.nextCounter);
  }

  /**
   * Index behind the last record that is certainly too old. Records stand in the order in which they were appended, so
   * it alone proves that all before it are.
   */
  private async firstByAge(maxAgeMs: number, appliedIndex: LogIndex): Promise<number> {
    const { group, state } = this.options;
    const reachedMs = group.time.reachedMs(maxAgeMs);
    if (reachedMs === undefined) return 1;
    const keptMs = reachedMs - maxAgeMs;
    const kept = await group.indexOfTime(state.timeBound(keptMs));
    const lastOld = logIndex(Math.min(appliedIndex, (kept ?? Number.POSITIVE_INFINITY) - 1));
    const record = lastOld > group.begin.index ? await this.recordAt(lastOld) : undefined;
    return record === undefined || record.timeMs >= keptMs ? 1 : record.firstCounter + record.eventCount;
  }

  /** Counter of the first event in or behind a record; what has not taken effect yet is not looked at. */
  private async counterAt(
    index: LogIndex,
    applied: { readonly index: LogIndex; readonly nextCounter: number },
  ): Promise<number> {
    return index > applied.index ? applied.nextCounter : ((await this.recordAt(index))?.firstCounter ?? 1);
  }

  private async recordAt(index: LogIndex): Promise<LogRecord | undefined> {
    return (await this.options.group.read(index, index, 1))[0];
  }

  private async indexBefore(firstCounter: number): Promise<LogIndex | undefined> {
    const index = await this.options.group.indexOfCounter(counter(firstCounter));
    return index === undefined ? undefined : logIndex(index - 1);
  }

  /** The group may quiesce until then. */
  private async planAge(maxAgeMs: number): Promise<void> {
    const { group, state, clock, retentionCheckMs: intervalMs = LIMITS.retentionCheckMs } = this.options;
    const { time } = group;
    const { firstCounter } = state.first;
    if (firstCounter >= state.nextCounter) return;
    const index = await group.indexOfCounter(firstCounter);
    const oldest = index === undefined ? undefined : await this.recordAt(index);
    if (oldest === undefined) return;
    const reachedMs = time.reachedMs(maxAgeMs);
    // The time is not known now, or a majority does not confirm it: the check is repeated like one that has failed.
    const inMs =
      reachedMs === undefined
        ? Math.min(LIMITS.retentionRetryMs, maxAgeMs)
        : state.appendedByMs(oldest) + maxAgeMs + 1 - reachedMs;
    // Clocks that do not agree may do so soon: the time that is certain by now leaps then.
    const mostMs = time.verdict.kind === 'agreed' ? LIMITS.retentionAgeMs : LIMITS.retentionRetryMs;
    this.againMs = clock.nowMs() + Math.min(Math.max(intervalMs, inMs), mostMs);
  }
}

/** What comes of elections and of other changes meanwhile. */
const EXPECTED: ReadonlySet<string> = new Set([
  'NOT_LEADER',
  'OUTCOME_UNKNOWN',
  'POSITION_REMOVED',
  'SHUTTING_DOWN',
  'UPGRADE_NEEDED',
]);
