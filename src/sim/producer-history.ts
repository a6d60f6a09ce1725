import type { ErrorCode, FlotillaError } from '../base/index.js';
import type { BatchHeader, ProducerStamp } from '../event/index.js';
import { decodeOpenProducer } from '../machine/stream/index.js';
import type { OpenedProducer } from '../stream/index.js';
import type { LogRecord, PackedBody } from '../wire/index.js';
import { Violation } from './violation.js';

/** What a producer is told because of what the stream has of it. */
export const SEQUENCE_REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'PRODUCER_EXPIRED',
  'PRODUCER_FENCED',
  'SEQUENCE_GAP',
  'SEQUENCE_REUSED',
]);

interface Producer {
  epoch: number;
  /** Which some client was told to have. */
  readonly held: Set<number>;
  /** Checksums of the bodies of its batches, in the order of their sequences. */
  readonly batches: number[];
}

/**
 * What the committed records say of producers with memory, from the records
 * alone: the batches of each are numbered without gaps, none is there twice, and
 * none of an earlier epoch comes after the next was opened. What producers are
 * told is held to it.
 */
export class ProducerHistory {
  private readonly producers = new Map<number, Producer>();
  private readonly ids = new Map<string, number>();

  opened({ payload }: LogRecord): void {
    const { id, name } = decodeOpenProducer(payload);
    const known = name === '' ? undefined : this.producers.get(this.ids.get(name) ?? 0);
    if (known !== undefined) {
      known.epoch++;
      return;
    }
    this.producers.set(id, { epoch: 1, held: new Set(), batches: [] });
    this.ids.set(name, id);
  }

  appended({ producer: id, epoch, sequence, bodyChecksum }: BatchHeader): void {
    const producer = this.of(id);
    if (epoch !== producer.epoch)
      throw new Violation(
        'a fenced producer appends nothing',
        `${id} has epoch ${producer.epoch}, and a batch of epoch ${epoch} is committed`,
      );
    if (sequence !== producer.batches.length + 1)
      throw new Violation(
        "a producer's batches are there once and in order",
        `batch ${sequence} of ${id} is committed behind batch ${producer.batches.length}`,
      );
    producer.batches.push(bodyChecksum);
  }

  batchesOf(id: number): number {
    return this.producers.get(id)?.batches.length ?? 0;
  }

  /** A producer has been opened, and was told which batch of it is the last; `before` were committed when it asked. */
  told({ id, epoch, sequence }: OpenedProducer, before: number): void {
    const producer = this.of(id);
    if (producer.held.has(epoch))
      throw new Violation('an epoch has one holder', `two were told that they have epoch ${epoch} of ${id}`);
    producer.held.add(epoch);
    if (epoch > producer.epoch || sequence > producer.batches.length || sequence < before)
      throw new Violation(
        'a producer is told what is committed',
        `of ${id} epoch ${producer.epoch} and ${producer.batches.length} batches are committed; it was told ` +
          `${epoch} and ${sequence}, and had asked when ${before} were`,
      );
  }

  /** `before`: how many of its batches were committed when this one was sent. */
  refused(
    { producer: id, epoch, sequence }: ProducerStamp,
    { checksum }: PackedBody,
    { code }: FlotillaError,
    before: number,
  ): void {
    const producer = this.of(id);
    const what = `${id} was told ${code} for batch ${sequence} of epoch ${epoch}`;
    if (code === 'PRODUCER_EXPIRED') throw new Violation('a producer is remembered', what);
    if (code === 'PRODUCER_FENCED' && epoch >= producer.epoch)
      throw new Violation('a refusal rests on what is committed', `${what}; its epoch is ${producer.epoch}`);
    if (code === 'SEQUENCE_GAP' && sequence <= before + 1)
      throw new Violation('a refusal rests on what is committed', `${what}; ${before} were committed when it was sent`);
    const there = producer.batches[sequence - 1];
    if (code === 'SEQUENCE_REUSED' && (there === undefined || there === checksum))
      throw new Violation(
        'a refusal rests on what is committed',
        `${what}; committed is ${there === undefined ? 'none' : 'that very batch'}`,
      );
  }

  private of(id: number): Producer {
    const producer = this.producers.get(id);
    if (producer === undefined) throw new Violation('a producer is told what is committed', `${id} was never opened`);
    return producer;
  }
}
