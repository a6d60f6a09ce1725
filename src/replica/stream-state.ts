import { advanced, FlotillaError, LIMITS, type LogIndex, logIndex } from '../base/index.js';
import {
  checkSettingsChanges,
  encodeSettings,
  type KnownProducers,
  type LogBegin,
  type ProducerState,
  type SettingsChanges,
  StreamMachine,
  type StreamSettings,
  type TimeBound,
  type TimedPlace,
} from '../machine/index.js';
import type { RaftCore } from '../raft/index.js';
import type { Checkpoint, LogRecord, RecordKind } from '../wire/index.js';
import { CommitWaiters } from './commit-waiters.js';
import type { HotLog } from './hot-log.js';
import { LogPositions } from './log-positions.js';
import type { Members } from './members.js';
import type { ReplicaObserver } from './observer.js';
import type { Clock, GroupLog, PlacedState } from './ports.js';

export interface StreamStateOptions {
  readonly core: RaftCore;
  readonly log: HotLog;
  readonly stored: GroupLog;
  readonly members: Members;
  readonly clock: Clock;
  readonly observer: ReplicaObserver;
  readonly storeCheckpoint: (checkpoint: PlacedState) => Promise<void>;
  /** Carries out what consensus has decided. */
  readonly drive: () => void;
  /** More of the log's front may be given up than before. */
  readonly onBegin: () => void;
  readonly onError: (error: unknown) => void;
}

/**
 * What the committed records of this node's log have led to. A record takes
 * effect once it is committed and durable here: then no crash takes it back, and
 * the state goes past the end of a segment only when the storage knows where the
 * next one begins, which gets the state as of there.
 */
export class StreamState {
  private readonly options: StreamStateOptions;
  private machine: StreamMachine;
  private readonly waiters: CommitWaiters;
  private readonly positions: LogPositions;
  private settledIndex: LogIndex;
  /** What a restarted node had not known to be committed is on disk only. */
  private isReading = false;
  /** The last checkpoint that was handed to the storage. */
  private checkpointIndex: LogIndex;

  constructor(options: StreamStateOptions) {
    this.options = options;
    this.machine = StreamMachine.decode(options.stored.recovered.state);
    const { appliedIndex } = this.machine;
    this.waiters = new CommitWaiters(appliedIndex);
    this.positions = new LogPositions(options.clock.nowMs(), appliedIndex);
    this.settledIndex = appliedIndex;
    this.checkpointIndex = appliedIndex;
  }

  /** Up to this record the log has taken effect. */
  get appliedIndex(): LogIndex {
    return this.machine.appliedIndex;
  }

  /** Resolves when a record has taken effect here; rejects with SHUTTING_DOWN when the node stops. */
  reached(index: LogIndex): Promise<void> {
    return this.waiters.reached(index);
  }

  /** The counter of the next event that takes effect. */
  get nextCounter(): number {
    return this.machine.nextCounter;
  }

  /** Log time, UTC milliseconds, as of the last record that took effect. */
  get timeMs(): number {
    return this.machine.timeMs;
  }

  /** Where the log comes to a time, UTC milliseconds. */
  timeBound(soughtMs: number): TimeBound {
    return this.machine.timeBound(soughtMs);
  }

  /** By when a record was appended, UTC milliseconds. */
  appendedByMs(record: TimedPlace): number {
    return this.machine.appendedByMs(record);
  }

  /** Undefined until they were set for the first time. */
  get settings(): StreamSettings | undefined {
    return this.machine.settings;
  }

  /** What is remembered of producers, as far as the log has taken effect here. */
  get producers(): KnownProducers {
    return this.machine.producers;
  }

  /** How far the log certainly reached at a time of the monotonic clock; 0 where this node does not know. */
  indexAt(ms: number): LogIndex {
    return this.positions.at(ms);
  }

  producerNamed(name: string): ProducerState | undefined {
    return this.machine.producerNamed(name);
  }

  /** What the log says about its begin, as far as it has taken effect here. */
  get logBegin(): LogBegin {
    return this.machine.begin;
  }

  /**
   * Where reads begin. A node that has just got a snapshot holds less than the
   * log has said as of there, until it has applied what comes after.
   */
  get first(): LogBegin {
    const { begin } = this.machine;
    const { nextCounter, index } = this.options.log.begin;
    return nextCounter < begin.firstCounter
      ? begin
      : { firstCounter: nextCounter, index: logIndex(Math.max(index, begin.index)) };
  }

  /** For those who compare nodes: the simulator. */
  encode(): Uint8Array {
    return this.machine.encode();
  }

  /**
   * Changes settings; resolves when they are in force here. Rejects as {@link propose} does, and with INVALID_ARGUMENT.
   */
  async change(changes: SettingsChanges): Promise<void> {
    checkSettingsChanges(changes);
    await this.propose('settings', encodeSettings({ changes, onlyFirst: false }));
  }

  /**
   * Appends a command to the leader's log. Resolves when it has taken effect
   * here. Rejects with NOT_LEADER and UPGRADE_NEEDED where it certainly has not
   * and will not, with OUTCOME_UNKNOWN where that can't be said.
   */
  async propose(
    kind: Extract<RecordKind, 'settings' | 'log-begin' | 'producer' | 'log-time'>,
    payload: Uint8Array,
    { appendedMs, onAppended }: { readonly appendedMs?: number; readonly onAppended?: (index: LogIndex) => void } = {},
  ): Promise<void> {
    const { core, log, clock, members, drive } = this.options;
    if (core.role !== 'leader') throw notLeader();
    members.requireKind(kind);
    const index = core.propose(clock.nowMs());
    if (index === undefined) throw notLeader();
    const { term } = core;
    const time = appendedMs === undefined ? {} : { appendedMs };
    log.seal({ kind, term, eventCount: 0, payloadBytes: payload.byteLength, ...time }, (target) => target.set(payload));
    onAppended?.(index);
    drive();
    await this.applied(index);
    const found = core.termAt(index);
    if (found === undefined) throw outcomeUnknown();
    if (found !== term) throw notLeader();
  }

  private async applied(index: LogIndex): Promise<void> {
    const late = new AbortController();
    const timer = this.options.clock.after(LIMITS.commandMs, () => late.abort());
    try {
      await this.waiters.reached(index, late.signal);
    } catch (cause) {
      throw outcomeUnknown(cause);
    } finally {
      timer.cancel();
    }
  }

  /** Everything up to `index` is committed, and durable here. */
  advance(index: LogIndex): void {
    this.settledIndex = index;
    if (this.isReading || index <= this.machine.appliedIndex) return;
    const { firstCounter } = this.machine.begin;
    while (this.machine.appliedIndex < index && !this.isReading) this.applySome();
    this.noticeEffects(firstCounter);
  }

  /** A snapshot has taken the place of the log. Throws before anything is changed where it is of a newer version. */
  decode({ before, state }: Checkpoint): StreamMachine {
    const machine = StreamMachine.decode(state);
    if (machine.appliedIndex === before.index) return machine;
    throw new FlotillaError(
      'DATA_LOSS',
      `a snapshot of ${before.index} holds the state as of ${machine.appliedIndex}: its log is damaged`,
    );
  }

  /** The log is replaced by a snapshot, which holds this state. */
  replaceWith(machine: StreamMachine): void {
    const { firstCounter } = this.machine.begin;
    this.machine = machine;
    this.checkpointIndex = machine.appliedIndex;
    this.noticeEffects(firstCounter);
  }

  stop(): void {
    this.waiters.stop();
  }

  private applySome(): void {
    const from = logIndex(this.machine.appliedIndex + 1);
    const records = this.options.log.hot(from, this.nextStop(), LIMITS.readChunkBytes);
    if (records === undefined) void this.applyStored(from);
    else this.apply(records);
  }

  /** Stores the state where that is due here; how far to go until it may be due again. */
  private nextStop(): LogIndex {
    const { appliedIndex } = this.machine;
    const { stored } = this.options;
    if (appliedIndex > this.checkpointIndex && stored.checkpointDue(appliedIndex) === appliedIndex)
      this.storeCheckpoint();
    const due = stored.checkpointDue(logIndex(appliedIndex + 1));
    return logIndex(Math.min(this.settledIndex, due ?? this.settledIndex));
  }

  private storeCheckpoint(): void {
    const { storeCheckpoint, onBegin, onError } = this.options;
    this.checkpointIndex = this.machine.appliedIndex;
    storeCheckpoint({ index: this.checkpointIndex, state: this.machine.encode() }).then(onBegin, onError);
  }

  private async applyStored(from: LogIndex): Promise<void> {
    const { log, drive, onError } = this.options;
    const { machine } = this;
    this.isReading = true;
    try {
      const records = await log.read(from, this.nextStop(), LIMITS.readChunkBytes);
      const { firstCounter } = machine.begin;
      // Unless a snapshot has taken its place.
      if (machine === this.machine) this.apply(records);
      this.isReading = false;
      this.noticeEffects(firstCounter);
      drive();
    } catch (error) {
      this.isReading = false;
      if (machine === this.machine) onError(error);
    }
  }

  private apply(records: readonly LogRecord[]): void {
    const { appliedIndex } = this.machine;
    for (const record of records) this.machine.apply(record);
    advanced(appliedIndex, this.machine.appliedIndex, 'applying committed records');
  }

  private noticeEffects(firstCounterBefore: number): void {
    const { appliedIndex, begin } = this.machine;
    this.waiters.advance(appliedIndex);
    this.positions.note(this.options.clock.nowMs(), appliedIndex);
    if (begin.firstCounter === firstCounterBefore) return;
    this.options.observer.removed?.(begin.firstCounter - firstCounterBefore);
    this.options.onBegin();
  }
}

function notLeader(): FlotillaError {
  return new FlotillaError(
    'NOT_LEADER',
    'this node does not lead, or is handing leadership over; nothing was changed: ask the leader',
  );
}

function outcomeUnknown(cause?: unknown): FlotillaError {
  return new FlotillaError(
    'OUTCOME_UNKNOWN',
    'the change was proposed, and what became of it is not known yet; look at the stream',
    {
      cause,
    },
  );
}
