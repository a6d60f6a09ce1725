import { assert, type ErrorCode, FlotillaError, LIMITS, type LogIndex, type Term } from '../base/index.js';
import type { ProducerStamp } from '../event/index.js';
import { type KnownBatch, knownBatch, type ProducerState } from '../machine/index.js';
import type { RaftCore } from '../raft/index.js';
import type { PackedBody } from '../wire/index.js';
import type { ProducerOpenings } from './producer-openings.js';
import type { StreamState } from './stream-state.js';

/**
 * What is to be done with a batch that bears a stamp. `wait`: the answer rests on
 * a record that may never be committed, or on one that this new leader has not
 * applied yet; ask again when that record has taken effect. `isCertain`: what is
 * there stays there; but that something is not there, a leader knows only while a
 * majority follows it.
 */
export type StampDecision =
  | { readonly kind: 'append' }
  | { readonly kind: 'wait'; readonly index: LogIndex }
  | { readonly kind: 'known'; readonly batch: KnownBatch }
  | { readonly kind: 'refuse'; readonly error: FlotillaError; readonly isCertain: boolean };

interface Uncommitted {
  readonly sequence: number;
  readonly index: LogIndex;
}

/**
 * A leader's decisions about batches of producers with memory, against its whole
 * log: what has taken effect, and what it has appended since. A batch goes in
 * once it is the next of its producer. Everything else that a producer is told,
 * be it the ids of a first attempt or a refusal, rests on committed records only.
 */
export class ProducerDesk {
  private readonly core: RaftCore;
  private readonly stream: StreamState;
  private readonly openings: ProducerOpenings;
  /** Per producer the batches that were appended in this term and have not taken effect. */
  private readonly uncommitted = new Map<number, Uncommitted[]>();
  private term: Term | undefined;

  constructor(options: { readonly core: RaftCore; readonly stream: StreamState; readonly openings: ProducerOpenings }) {
    this.core = options.core;
    this.stream = options.stream;
    this.openings = options.openings;
  }

  decide(stamp: ProducerStamp, body: PackedBody): StampDecision {
    const { noopIndex } = this.core;
    assert(noopIndex !== undefined, 'only a leader decides');
    this.beginTerm();
    if (this.stream.appliedIndex < noopIndex) return { kind: 'wait', index: noopIndex };
    const producer = this.stream.producer(stamp.producer);
    if (producer === undefined) return unlessOvertaken('PRODUCER_EXPIRED', forgotten(stamp));
    const opening = this.openings.openingOf(producer.name);
    if (opening !== undefined) return { kind: 'wait', index: opening };
    return this.refusalForEpoch(stamp, producer) ?? this.decideSequence(stamp, body, producer);
  }

  /** A stamped batch stands in the log at `index`. */
  appended({ producer, sequence }: ProducerStamp, index: LogIndex): void {
    const open = this.uncommitted.get(producer);
    if (open === undefined) this.uncommitted.set(producer, [{ sequence, index }]);
    else open.push({ sequence, index });
  }

  /** Records up to `index` have taken effect. */
  applied(index: LogIndex): void {
    for (const [producer, open] of this.uncommitted) {
      const left = open.filter((batch) => batch.index > index);
      if (left.length === 0) this.uncommitted.delete(producer);
      else if (left.length < open.length) this.uncommitted.set(producer, left);
    }
  }

  private beginTerm(): void {
    if (this.term === this.core.term) return;
    this.term = this.core.term;
    this.uncommitted.clear();
  }

  private refusalForEpoch({ producer, epoch }: ProducerStamp, known: ProducerState): StampDecision | undefined {
    if (epoch === known.epoch) return undefined;
    if (epoch > known.epoch)
      return unlessOvertaken(
        'INVALID_ARGUMENT',
        `producer.epoch: producer ${producer} was opened with epoch ${known.epoch}, not ${epoch}`,
      );
    return refuse(
      'PRODUCER_FENCED',
      `producer "${known.name}" was opened anew, with epoch ${known.epoch}: whoever holds epoch ${epoch} may produce no more`,
    );
  }

  private decideSequence({ producer, sequence }: ProducerStamp, body: PackedBody, known: ProducerState): StampDecision {
    const open = this.uncommitted.get(producer) ?? [];
    const last = open.at(-1)?.sequence ?? known.sequence;
    if (sequence === last + 1) return { kind: 'append' };
    if (sequence > last)
      return unlessOvertaken(
        'SEQUENCE_GAP',
        `producer.sequence: ${sequence} does not follow ${last}, the last batch of producer ${producer}`,
      );
    const inLog = open.find((batch) => batch.sequence === sequence);
    if (inLog !== undefined) return { kind: 'wait', index: inLog.index };
    const batch = knownBatch(known, sequence);
    if (batch === undefined)
      return refuse(
        'PRODUCER_EXPIRED',
        `producer.sequence: of producer ${producer} the last ${LIMITS.producerBatches} batches are remembered, up to ${known.sequence}; ${sequence} was before them`,
      );
    const isSame =
      batch.count === body.count && batch.bodyLength === body.body.byteLength && batch.bodyChecksum === body.checksum;
    if (isSame) return { kind: 'known', batch };
    return refuse(
      'SEQUENCE_REUSED',
      `producer.sequence: producer ${producer} has other events in the stream as its batch ${sequence}`,
    );
  }
}

function refuse(code: ErrorCode, message: string): StampDecision {
  return { kind: 'refuse', error: new FlotillaError(code, message), isCertain: true };
}

function unlessOvertaken(code: ErrorCode, message: string): StampDecision {
  return { kind: 'refuse', error: new FlotillaError(code, message), isCertain: false };
}

function forgotten({ producer }: ProducerStamp): string {
  return `producer.producer_id: ${producer} is not known: it was never opened, or forgotten since; open a new one. What became of its earlier batches is not known any more`;
}
