import { type ErrorCode, FlotillaError, type LogIndex } from '../base/index.js';
import { NO_PRODUCER, type ProducerStamp } from '../event/index.js';
import type { Proposed } from '../machine/index.js';
import type { OpenedProducer } from '../stream/index.js';
import { batchesOf, type LogRecord, type PackedBody } from '../wire/index.js';
import type { Figures } from './figures.js';
import { ProducerHistory, SEQUENCE_REFUSALS } from './producer-history.js';
import { Violation } from './violation.js';

/** A node says with these that a batch was certainly not appended. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'NO_LEADER',
  'NOT_LEADER',
  'SHUTTING_DOWN',
  'TOO_MANY_REQUESTS',
  'NOT_READY',
]);

interface Batch {
  readonly body: PackedBody;
  /** The highest counter that was acknowledged when it was sent for the first time. */
  readonly after: number;
  /** Attempts without an answer. */
  underWay: number;
  /** What became of an attempt is unknown: a refusal of another says nothing. */
  doubtful: boolean;
  fate: 'open' | 'acknowledged' | 'refused';
  /** The place at which it is committed. */
  place: Proposed | undefined;
}

/**
 * What producers were told, held to what is committed: every acknowledged batch
 * is there once, whole and at its id; counters have no gaps; a batch that was
 * sent after another's acknowledgement comes after it; what was refused is not
 * there (an unknown outcome is never called a failure).
 */
export class AcknowledgementChecker {
  /** Each batch by the checksum of its body, which is unlike for all of them. */
  private readonly batches = new Map<number, Batch>();
  private readonly figures: Figures;
  private readonly producers = new ProducerHistory();
  private nextCounter = 1;
  private acknowledgedUpTo = 0;

  constructor(figures: Figures) {
    this.figures = figures;
  }

  isNew(body: PackedBody): boolean {
    return !this.batches.has(body.checksum);
  }

  /** A batch is sent, for the first time or again. */
  sent(body: PackedBody): void {
    this.figures.produced++;
    const fresh: Batch = {
      body,
      after: this.acknowledgedUpTo,
      underWay: 0,
      doubtful: false,
      fate: 'open',
      place: undefined,
    };
    const batch = this.batches.get(body.checksum) ?? fresh;
    this.batches.set(body.checksum, batch);
    batch.underWay++;
    if (batch.fate === 'refused') batch.fate = 'open';
  }

  /** A record is committed, for the first time anywhere. */
  committed(record: LogRecord): void {
    if (record.firstCounter !== this.nextCounter)
      throw new Violation(
        'counters have no gaps',
        `record ${record.index} begins at ${record.firstCounter} and not at ${this.nextCounter}`,
      );
    if (record.kind === 'producer') this.producers.opened(record);
    if (record.kind !== 'events') return;
    for (const { header } of batchesOf(record)) {
      const batch = this.batches.get(header.bodyChecksum);
      if (batch === undefined || batch.body.count !== header.count)
        throw new Violation(
          'a batch is whole or absent',
          `record ${record.index} holds at ${header.baseCounter} what nobody sent`,
        );
      if (batch.place !== undefined)
        throw new Violation(
          'every event is present once',
          `the batch at ${batch.place.firstCounter} is there again at ${header.baseCounter}`,
        );
      if (batch.fate === 'refused')
        throw new Violation(
          'an unknown outcome is never called a failure',
          `the batch at ${header.baseCounter} was refused, and is committed`,
        );
      if (header.baseCounter !== this.nextCounter)
        throw new Violation(
          'counters have no gaps',
          `a batch begins at ${header.baseCounter} and not at ${this.nextCounter}`,
        );
      if (header.producer !== 0) this.producers.appended(header);
      batch.place = { firstCounter: header.baseCounter, actor: header.actor, index: record.index, term: record.term };
      this.nextCounter += header.count;
    }
  }

  acknowledged(body: PackedBody, told: Proposed): void {
    const batch = this.batchOf(body);
    this.figures.acknowledged++;
    batch.underWay--;
    if (batch.fate === 'acknowledged') this.figures.knownAgain++;
    batch.fate = 'acknowledged';
    const { firstCounter } = told;
    if (batch.place === undefined || placeText(batch.place) !== placeText(told))
      throw new Violation(
        'every acknowledged event is present at its id',
        `a batch was acknowledged at ${placeText(told)}, and is committed at ` +
          `${batch.place === undefined ? 'no place' : placeText(batch.place)}`,
      );
    if (firstCounter <= batch.after)
      throw new Violation(
        'real-time order',
        `the batch at ${firstCounter} was sent when ${batch.after} had been acknowledged`,
      );
    this.acknowledgedUpTo = Math.max(this.acknowledgedUpTo, firstCounter + body.count - 1);
  }

  /**
   * A producer with memory was told what the stream has of it. `before`: how many batches of it were committed when it
   * asked.
   */
  opened(producer: OpenedProducer, before: number): void {
    this.figures.producersOpened++;
    this.producers.told(producer, before);
  }

  /** Number of a producer's batches that are committed. */
  batchesOf(producer: number): number {
    return this.producers.batchesOf(producer);
  }

  /** `before`: how many batches of its producer were committed when it was sent. */
  rejected(body: PackedBody, error: unknown, stamp: ProducerStamp = NO_PRODUCER, before = 0): void {
    const batch = this.batchOf(body);
    batch.underWay--;
    if (!(error instanceof FlotillaError)) throw new Violation('errors have a code', String(error));
    if (error.code === 'OUTCOME_UNKNOWN') {
      batch.doubtful = true;
      this.figures.unknownOutcomes++;
      return;
    }
    if (stamp.producer !== 0 && SEQUENCE_REFUSALS.has(error.code)) {
      this.figures.sequenceRefusals++;
      this.producers.refused(stamp, body, error, before);
    } else if (!REFUSALS.has(error.code)) {
      throw new Violation('errors have a code', `a producer was told ${error.code}: ${error.message}`);
    }
    if (batch.underWay > 0 || batch.doubtful || batch.fate === 'acknowledged') return;
    batch.fate = 'refused';
    if (batch.place !== undefined)
      throw new Violation(
        'an unknown outcome is never called a failure',
        `a batch is committed at ${batch.place.firstCounter}, and was answered with ${error.code}`,
      );
  }

  private batchOf(body: PackedBody): Batch {
    const batch = this.batches.get(body.checksum);
    if (batch === undefined) throw new Violation('a batch is whole or absent', 'an answer to what nobody sent');
    return batch;
  }
}

function placeText({ firstCounter, actor, index, term }: Proposed): string {
  return `${firstCounter}.${actor} in record ${index} of term ${term}`;
}

/** A confirmed read index is not below what was committed anywhere when it was asked for (section 6.4). */
export function requireFresh(asked: number, confirmed: LogIndex): void {
  if (confirmed < asked)
    throw new Violation(
      'consistent reads are linearizable',
      `a read was confirmed at ${confirmed}; when it was asked, ${asked} was committed`,
    );
}
