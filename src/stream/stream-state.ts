import { type Counter, type LogIndex, logIndex, type TimeBound, type TimedPlace } from '../base/index.js';
import type { Clock } from '../group/index.js';
import type {
  KnownProducers,
  LogBegin,
  ProducerState,
  StreamMachine,
  StreamSettings,
} from '../machine/stream/index.js';
import { LogPositions } from './log-positions.js';
import type { StreamGroup } from './stream-group.js';

/** What a stream's log has led to, as far as it has taken effect on this node. */
export class StreamState {
  private readonly group: StreamGroup;
  private readonly clock: Clock;
  private readonly positions: LogPositions;
  private notedIndex: LogIndex;

  constructor(group: StreamGroup, clock: Clock) {
    this.group = group;
    this.clock = clock;
    this.notedIndex = this.appliedIndex;
    this.positions = new LogPositions(clock.nowMs(), this.notedIndex);
  }

  get appliedIndex(): LogIndex {
    return this.machine.appliedIndex;
  }

  /** What the next event that takes effect will have. */
  get nextCounter(): Counter {
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

  /** The time by which a record was appended, UTC milliseconds. */
  appendedByMs(record: TimedPlace): number {
    return this.machine.appendedByMs(record);
  }

  /** Undefined until they were set for the first time. */
  get settings(): StreamSettings | undefined {
    return this.machine.settings;
  }

  /** What is remembered of producers. */
  get producers(): KnownProducers {
    return this.machine.producers;
  }

  /** How far the log certainly reached at a time of the monotonic clock; 0 where this node does not know. */
  indexAt(ms: number): LogIndex {
    return this.positions.at(ms);
  }

  /** A turn of the group has ended. */
  notePosition(): void {
    const { appliedIndex } = this;
    if (appliedIndex === this.notedIndex) return;
    this.notedIndex = appliedIndex;
    this.positions.note(this.clock.nowMs(), appliedIndex);
  }

  producerNamed(name: string): ProducerState | undefined {
    return this.machine.producerNamed(name);
  }

  /** What the log says about its begin. */
  get logBegin(): LogBegin {
    return this.machine.begin;
  }

  /**
   * Where reads begin. A node that has just got a snapshot holds less than the
   * log has said as of there, until it has applied what comes after.
   */
  get first(): LogBegin {
    const { begin } = this.machine;
    const { nextCounter, index } = this.group.begin;
    if (nextCounter < begin.firstCounter) return begin;
    return { firstCounter: nextCounter, index: logIndex(Math.max(index, begin.index)) };
  }

  /** Encodes the state, to compare nodes. */
  encode(): Uint8Array {
    return this.machine.encode();
  }

  private get machine(): StreamMachine {
    return this.group.state.machine;
  }
}
