import { type ErrorCode, FlotillaError, LIMITS, type LogIndex, present } from '../../base/index.js';
import type { ProducerStamp } from '../../event/index.js';
import type { Decision } from '../state-machine.js';
import type { KnownBatch } from './known-batches.js';
import { isFirstOfUnnamed, type KnownProducers, type ProducerState, UNNAMED_EPOCH } from './producers.js';

/** What tells the body of a batch from another one. */
export type BodyDigest = Pick<KnownBatch, 'count' | 'bodyLength' | 'bodyChecksum'>;

/** A batch that stands in the leader's log and has not taken effect. */
interface TailBatch {
  readonly producer: number;
  readonly sequence: number;
  readonly index: LogIndex;
}

/**
 * A leader's decisions about stamped batches, against its whole log: what has taken effect (`known`), and what this
 * leader has appended since. A batch goes in once it is the next of its producer. Everything else that a producer is
 * told, be it the ids of a first attempt or a refusal, depends on committed records only.
 *
 * A producer without a name registers itself with its first batch. So where the producer is not known, that batch is
 * either new, or its first attempt was forgotten along with the producer. The stamp tells them apart: it names a record
 * behind which all batches of the producer stand. Where that record is not before the last use of any producer that
 * was forgotten, this producer is none of them.
 */
export class ProducerAdmission {
  /** The batches that this leader has appended, in the order of the log. */
  private tail: TailBatch[] = [];
  /** So many of them have taken effect. */
  private applied = 0;
  private readonly tails = new Map<number, TailBatch[]>();

  decide(stamp: ProducerStamp, body: BodyDigest, known: KnownProducers): Decision {
    const producer = known.get(stamp.producer);
    const tail = this.tails.get(stamp.producer) ?? [];
    if (producer !== undefined)
      return refusalForEpoch(stamp, producer) ?? decideSequence(stamp, body, tail, producer, known);
    if (tail[0] !== undefined) return this.decideBeforeFirst(stamp, body, tail, known);
    if (isFirstOfUnnamed(stamp) && (stamp.bornAfter ?? 0) >= known.forgottenIndex) return APPEND;
    return unlessOvertaken('PRODUCER_EXPIRED', forgotten(stamp));
  }

  /** The producer has batches in the tail, and is not known: its first one is among them, or it was just forgotten. */
  private decideBeforeFirst(
    stamp: ProducerStamp,
    body: BodyDigest,
    tail: readonly TailBatch[],
    known: KnownProducers,
  ): Decision {
    const [first] = tail;
    const last = present(tail.at(-1), 'it has batches in the tail');
    if (first?.sequence === 1 && stamp.epoch === UNNAMED_EPOCH)
      return decideSequence(stamp, body, tail, undefined, known);
    return { kind: 'wait', index: last.index };
  }

  /** A stamped batch stands in the log at `index`. */
  appended({ producer, sequence }: ProducerStamp, index: LogIndex): void {
    const batch = { producer, sequence, index };
    this.tail.push(batch);
    const tail = this.tails.get(producer);
    if (tail === undefined) this.tails.set(producer, [batch]);
    else tail.push(batch);
  }

  /** Records up to `index` have taken effect. */
  advance(index: LogIndex): void {
    for (
      let next = this.tail[this.applied];
      next !== undefined && next.index <= index;
      next = this.tail[this.applied]
    ) {
      this.applied++;
      const tail = this.tails.get(next.producer);
      tail?.shift();
      if (tail?.length === 0) this.tails.delete(next.producer);
    }
    if (this.applied < this.tail.length / 2) return;
    this.tail = this.tail.slice(this.applied);
    this.applied = 0;
  }
}

const APPEND: Decision = { kind: 'append' };

function refusalForEpoch({ producer, epoch }: ProducerStamp, known: ProducerState): Decision | undefined {
  if (epoch === known.epoch) return undefined;
  if (epoch > known.epoch || known.name === '')
    return unlessOvertaken(
      'INVALID_ARGUMENT',
      `producer.epoch: producer ${producer} has epoch ${known.epoch}, not ${epoch}`,
    );
  return refuse(
    'PRODUCER_FENCED',
    `producer "${known.name}" was opened anew, with epoch ${known.epoch}: the holder of epoch ${epoch} may ` +
      'produce no more',
  );
}

function decideSequence(
  { producer, sequence }: ProducerStamp,
  body: BodyDigest,
  tail: readonly TailBatch[],
  state: ProducerState | undefined,
  known: KnownProducers,
): Decision {
  const last = tail.at(-1)?.sequence ?? state?.sequence ?? 0;
  if (sequence === last + 1) return APPEND;
  if (sequence > last)
    return unlessOvertaken(
      'SEQUENCE_GAP',
      `producer.sequence: ${sequence} does not follow ${last}, the last batch of producer ${producer}`,
    );
  const inLog = tail.find((batch) => batch.sequence === sequence);
  if (inLog !== undefined) return { kind: 'wait', index: inLog.index };
  const batch = known.batch(producer, sequence);
  if (batch === undefined)
    return refuse(
      'PRODUCER_EXPIRED',
      `producer.sequence: batch ${sequence} of producer ${producer} is not among its last ` +
        `${LIMITS.producerBatches}, which alone are remembered`,
    );
  if (isSame(batch, body)) return { kind: 'known', place: batch };
  return refuse(
    'SEQUENCE_REUSED',
    `producer.sequence: producer ${producer} has other events in the stream as its batch ${sequence}`,
  );
}

function isSame(one: BodyDigest, other: BodyDigest): boolean {
  return one.count === other.count && one.bodyLength === other.bodyLength && one.bodyChecksum === other.bodyChecksum;
}

function refuse(code: ErrorCode, message: string): Decision {
  return { kind: 'refuse', error: new FlotillaError(code, message), isCertain: true };
}

function unlessOvertaken(code: ErrorCode, message: string): Decision {
  return { kind: 'refuse', error: new FlotillaError(code, message), isCertain: false };
}

function forgotten({ producer }: ProducerStamp): string {
  return (
    `producer.producer_id: the stream does not know producer ${producer} (any more), and what became of its earlier ` +
    'batches is not known; this one was not appended: go on with a new producer'
  );
}
