import { asciiBytes, asciiText, assert, type Counter, counter, FlotillaError, type LogIndex, logIndex, type Term } from '../base/index.js';
import { stampedBatches } from '../event/index.js';
import {
  changedSettings,
  decodeLogBegin,
  decodeOpenProducer,
  decodeSettings,
  type LogBegin,
  plainSettings,
  type StreamSettings,
} from './commands.js';
import { type EncodedProducer, type ProducerState, ProducerTable } from './producers.js';

/** What the machine needs of a log record; LogRecord of src/wire is one. */
export interface CommittedRecord {
  readonly kind: 'no-op' | 'configuration' | 'events' | 'settings' | 'log-begin' | 'producer';
  readonly index: LogIndex;
  readonly term: Term;
  readonly firstCounter: Counter;
  readonly eventCount: number;
  /** Log time, UTC milliseconds. */
  readonly timeMs: number;
  readonly payload: Uint8Array;
}

interface State {
  readonly format: typeof FORMAT;
  index: LogIndex;
  nextCounter: Counter;
  timeMs: number;
  /** Undefined until a record has set them, if only to nothing. */
  settings?: StreamSettings;
  begin: LogBegin;
}

const FORMAT = 1;

/**
 * What a stream's committed records mean: one state, reached by applying them in
 * the order of the log, and the same on every node that has applied as many. No
 * clock, no chance and no option of a node has a say in it.
 *
 * The log's segments begin with an encoded state each, so that a node that
 * starts, or gets a snapshot, applies only what comes after one. Equal states
 * have equal bytes.
 */
export class StreamMachine {
  private readonly state: State;
  private readonly producers: ProducerTable;

  private constructor(state: State, producers: readonly EncodedProducer[] = []) {
    this.state = state;
    this.producers = ProducerTable.decode(producers);
  }

  /** Of a stream without a record. */
  static initial(): StreamMachine {
    const begin = { firstCounter: counter(1), index: logIndex(0) };
    return new StreamMachine({ format: FORMAT, index: logIndex(0), nextCounter: counter(1), timeMs: 0, begin });
  }

  /** The inverse of {@link encode}, of bytes whose checksum was verified. Throws UPGRADE_NEEDED where a newer version wrote them. */
  static decode(bytes: Uint8Array): StreamMachine {
    const { producers, ...state } = JSON.parse(asciiText(bytes)) as State & { producers?: EncodedProducer[] };
    if (state.format === FORMAT) return new StreamMachine(state, producers);
    throw new FlotillaError(
      'UPGRADE_NEEDED',
      `the state of a stream has format ${String(state.format)}; this version reads format ${FORMAT}: upgrade this node`,
    );
  }

  encode(): Uint8Array {
    const { format, index, nextCounter, timeMs, settings, begin } = this.state;
    const { firstCounter, index: beginIndex } = begin;
    return asciiBytes(
      JSON.stringify({
        format,
        index,
        nextCounter,
        timeMs,
        ...(settings === undefined ? {} : { settings: plainSettings(settings) }),
        begin: { firstCounter, index: beginIndex },
        ...(this.producers.size === 0 ? {} : { producers: this.producers.encode() }),
      }),
    );
  }

  /** Of the last record that was applied; 0 before the first. */
  get appliedIndex(): LogIndex {
    return this.state.index;
  }

  /** What the next event will have. */
  get nextCounter(): Counter {
    return this.state.nextCounter;
  }

  /** Log time, UTC milliseconds: the latest timestamp of all events, and of producers that were opened, so far. */
  get timeMs(): number {
    return this.state.timeMs;
  }

  /** Undefined until they were set for the first time: those of a new stream are set by its first leader. */
  get settings(): StreamSettings | undefined {
    return this.state.settings;
  }

  get begin(): LogBegin {
    return this.state.begin;
  }

  /** What is remembered of a producer; undefined where it was never opened, or was forgotten. */
  producer(id: number): ProducerState | undefined {
    return this.producers.get(id);
  }

  /** The same, by its name. */
  producerNamed(name: string): ProducerState | undefined {
    return this.producers.named(name);
  }

  /** Takes the next committed record. Throws UPGRADE_NEEDED where it is a command that is not known here. */
  apply(record: CommittedRecord): void {
    const { state } = this;
    assert(record.index === state.index + 1, `record ${record.index} was to be applied after record ${state.index}`);
    this.applyContent(record);
    state.index = record.index;
    state.nextCounter = counter(record.firstCounter + record.eventCount);
    state.timeMs = record.timeMs;
    this.producers.expire(record.timeMs);
  }

  private applyContent(record: CommittedRecord): void {
    const { kind, index, payload, firstCounter, timeMs } = record;
    switch (kind) {
      case 'no-op':
      case 'configuration':
        return;
      case 'events':
        for (const header of stampedBatches(payload)) this.producers.appended(header, record, timeMs);
        return;
      case 'producer':
        this.producers.open(decodeOpenProducer(payload), timeMs);
        return;
      case 'settings':
        this.state.settings = changedSettings(this.state.settings, decodeSettings(payload));
        return;
      case 'log-begin':
        this.beginAt(decodeLogBegin(payload), index, firstCounter);
    }
  }

  /** Two leaders may have said it in turn: it never goes back, and never beyond what there is. */
  private beginAt(begin: LogBegin, recordIndex: LogIndex, nextCounter: Counter): void {
    if (begin.firstCounter <= this.state.begin.firstCounter) return;
    if (begin.firstCounter > nextCounter || begin.index >= recordIndex) return;
    this.state.begin = begin;
  }
}
