import {
  AssertionFailure,
  asciiBytes,
  asciiText,
  assert,
  type Counter,
  counter,
  FlotillaError,
  LIMITS,
  type LogIndex,
  logIndex,
  type TimeBound,
  type TimedPlace,
} from '../../base/index.js';
import { stampedBatches } from '../../event/index.js';
import type { ClusterRecordKind } from '../record-kinds.js';
import type { CommittedRecord, StateMachine } from '../state-machine.js';
import {
  changedSettings,
  decodeLogBegin,
  decodeOpenProducer,
  decodeSettings,
  type LogBegin,
  plainSettings,
  type StreamSettings,
} from './commands.js';
import { appendedByMs, corrected, type LogTimeCorrection, timeBound } from './log-time.js';
import { type KnownProducers, type ProducerState, ProducerTable } from './producers.js';

interface State {
  readonly format: typeof FORMAT;
  index: LogIndex;
  nextCounter: Counter;
  timeMs: number;
  /** Log time, as the silence of producers is measured by it: a leap counts as one step. */
  producersMs: number;
  /** Where log time was set back, ascending by index and by time. */
  corrections: readonly LogTimeCorrection[];
  /** Undefined until a record has set them, if only to nothing. */
  settings?: StreamSettings;
  begin: LogBegin;
}

/** The line before the producers; what has nothing to say is left out. */
type EncodedLine = Omit<State, 'producersMs' | 'corrections'> & Partial<Pick<State, 'producersMs' | 'corrections'>>;

const FORMAT = 1;
const LINE_END = 0x0a;

/**
 * What a stream's committed records mean: one state, reached by applying them in the order of the log, and the same on
 * every node that has applied as many. No clock, no random number and no option of a node has a part in it.
 *
 * The log's segments begin with an encoded state each, so that a node that
 * starts, or gets a snapshot, applies only what comes after one. Equal states
 * have equal bytes.
 */
export class StreamMachine implements StateMachine {
  private readonly state: State;
  private readonly table: ProducerTable;

  private constructor(state: State, table: ProducerTable) {
    this.state = state;
    this.table = table;
  }

  /** The state of a stream without a record. */
  static initial(): StreamMachine {
    const begin = { firstCounter: counter(1), index: logIndex(0) };
    const place = { index: logIndex(0), nextCounter: counter(1), timeMs: 0, producersMs: 0 };
    return new StreamMachine({ format: FORMAT, ...place, corrections: [], begin }, new ProducerTable());
  }

  /**
   * The inverse of {@link encode}, of bytes whose checksum was verified. Throws UPGRADE_NEEDED where a newer version
   * wrote them.
   */
  static decode(bytes: Uint8Array): StreamMachine {
    const end = bytes.indexOf(LINE_END);
    const lineEnd = end === -1 ? bytes.byteLength : end;
    const [line, producers] = [bytes.subarray(0, lineEnd), bytes.subarray(lineEnd + 1)];
    const state = JSON.parse(asciiText(line)) as EncodedLine;
    const { producersMs = state.timeMs, corrections = [] } = state;
    if (state.format === FORMAT)
      return new StreamMachine({ ...state, producersMs, corrections }, ProducerTable.decode(producers));
    throw new FlotillaError(
      'UPGRADE_NEEDED',
      `the state of a stream has format ${String(state.format)}; this version reads format ${FORMAT}: upgrade ` +
        'this node',
    );
  }

  /** A line of JSON, and the producers. */
  encode(): Uint8Array {
    return joined(this.encodeLine(), this.table.encode());
  }

  /** See {@link StateMachine.encodeInSteps}. */
  *encodeInSteps(): Generator<void, Uint8Array> {
    const line = this.encodeLine();
    return joined(line, yield* this.table.encodeInSteps());
  }

  private encodeLine(): Uint8Array {
    const { format, index, nextCounter, timeMs, producersMs, corrections, settings, begin } = this.state;
    const { firstCounter, index: beginIndex } = begin;
    const line = JSON.stringify({
      format,
      index,
      nextCounter,
      timeMs,
      ...(producersMs === timeMs ? {} : { producersMs }),
      ...(corrections.length === 0 ? {} : { corrections }),
      ...(settings === undefined ? {} : { settings: plainSettings(settings) }),
      begin: { firstCounter, index: beginIndex },
    });
    return asciiBytes(`${line}\n`);
  }

  /** Index of the last record that was applied; 0 before the first. */
  get appliedIndex(): LogIndex {
    return this.state.index;
  }

  /** What the next event will have. */
  get nextCounter(): Counter {
    return this.state.nextCounter;
  }

  /** Log time, UTC milliseconds, as of the last record. */
  get timeMs(): number {
    return this.state.timeMs;
  }

  /** Where the log comes to a time, UTC milliseconds. */
  timeBound(soughtMs: number): TimeBound {
    return timeBound(this.state.corrections, soughtMs, this.state.begin.index);
  }

  /** The time by which a record was appended, UTC milliseconds. */
  appendedByMs(record: TimedPlace): number {
    return appendedByMs(this.state.corrections, record);
  }

  /** Undefined until they were set for the first time: those of a new stream are set by its first leader. */
  get settings(): StreamSettings | undefined {
    return this.state.settings;
  }

  get begin(): LogBegin {
    return this.state.begin;
  }

  get expendableIndex(): LogIndex {
    return this.state.begin.index;
  }

  get producers(): KnownProducers {
    return this.table;
  }

  /** What is remembered of a named producer; undefined where it was never opened, or was forgotten. */
  producerNamed(name: string): ProducerState | undefined {
    return this.table.withName(name);
  }

  /** Takes the next committed record. Throws UPGRADE_NEEDED where it is a command that is not known here. */
  apply(record: CommittedRecord): void {
    const { state } = this;
    assert(record.index === state.index + 1, `record ${record.index} was to be applied after record ${state.index}`);
    const producersMs = this.producersMsAfter(record.timeMs);
    this.applyContent(record, producersMs);
    state.index = record.index;
    state.nextCounter = counter(record.firstCounter + record.eventCount);
    state.timeMs = record.timeMs;
    state.producersMs = producersMs;
    this.table.expire(producersMs);
  }

  /**
   * Whatever a clock says, one record ages producers by no more than a step: a single wrong time must not make all of
   * them forgotten.
   */
  private producersMsAfter(timeMs: number): number {
    const { timeMs: beforeMs, producersMs } = this.state;
    if (this.table.size === 0) return timeMs;
    return producersMs + Math.min(Math.max(0, timeMs - beforeMs), LIMITS.producerIdleStepMs);
  }

  private applyContent(record: CommittedRecord, producersMs: number): void {
    const { kind, index, payload, firstCounter } = record;
    switch (kind) {
      case 'no-op':
      case 'configuration':
        return;
      case 'events':
        for (const header of stampedBatches(payload)) this.table.appended(header, record, producersMs);
        return;
      case 'producer':
        this.table.open(decodeOpenProducer(payload), producersMs);
        return;
      case 'settings':
        this.state.settings = changedSettings(this.state.settings, decodeSettings(payload));
        return;
      case 'log-begin':
        this.beginAt(decodeLogBegin(payload), index, firstCounter);
        return;
      case 'log-time':
        this.state.corrections = corrected(this.state.corrections, record);
        return;
      default:
        // A kind of a stream without a case would change the state on no node, and nothing would tell of it.
        throw new AssertionFailure(`a ${kind satisfies ClusterRecordKind} record is none of a stream's`);
    }
  }

  /** Two leaders may have said it in turn: it never goes back, and never beyond what there is. */
  private beginAt(begin: LogBegin, recordIndex: LogIndex, nextCounter: Counter): void {
    if (begin.firstCounter <= this.state.begin.firstCounter) return;
    if (begin.firstCounter > nextCounter || begin.index >= recordIndex) return;
    this.state.begin = begin;
    this.state.corrections = this.state.corrections.filter((correction) => correction.index > begin.index);
  }
}

function joined(line: Uint8Array, producers: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(line.byteLength + producers.byteLength);
  bytes.set(line);
  bytes.set(producers, line.byteLength);
  return bytes;
}
