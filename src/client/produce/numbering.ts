import type { FlotillaError } from '../../base/index.js';
import type { PackedBody } from '../../wire/index.js';
import type { Batch } from './batch.js';
import type { PendingBatches } from './pending-batches.js';
import { ProducerIdentity } from './producer-identity.js';

/**
 * Under which numbers batches are sent. The stream takes the batches of a producer in the order of their numbers and
 * without gaps, so:
 *
 * - A batch that may be in the stream keeps its number until that is settled.
 * - Where a batch was certainly not appended and is not sent again, none behind it was, and none will be under its old
 *   number: they get others. A producer without a name becomes a new one then, so that no attempt that is still on its
 *   way anywhere can take a number of it.
 * - A named producer can't become another one. Its batches that are given up while they may be in the stream leave
 *   their numbers unsettled: what is appended next gets these numbers, one at a time.
 */
export class Numbering {
  readonly name: string;
  identity: ProducerIdentity;
  private readonly pending: PendingBatches;
  /** The sequence of the last batch that is known to be in the stream. */
  private settledSequence: number;
  /** What was given up under a named producer's numbers. */
  private readonly unsettled = new Map<number, PackedBody>();

  /** The empty name: the producer has none. */
  constructor(name: string, identity: ProducerIdentity, pending: PendingBatches) {
    this.name = name;
    this.identity = identity;
    this.pending = pending;
    this.settledSequence = identity.last;
  }

  get lastSequence(): number {
    return this.settledSequence;
  }

  get hasUnsettled(): boolean {
    return this.unsettled.size > 0;
  }

  /** A batch is about to be sent: gives it a number if it has none. */
  assign(batch: Batch): { readonly identity: ProducerIdentity; readonly sequence: number } {
    batch.number ??= this.identity.next();
    const before = this.unsettled.get(batch.number.sequence);
    if (before !== undefined && isSame(before, batch.packed)) batch.maybeProposed = true;
    return batch.number;
  }

  /** The stream has a batch of this number: this one, or for a named producer other events that were given up. */
  settle({ number }: Batch, incarnation: string): void {
    if (number === undefined) return;
    if (number.identity.incarnation === '') number.identity.incarnation = incarnation;
    if (number.identity !== this.identity) return;
    this.unsettled.delete(number.sequence);
    this.settledSequence = Math.max(this.settledSequence, number.sequence);
  }

  /** Whether a batch before this one has no answer yet: without it this one can't go in. */
  hasEarlier({ number }: Batch): boolean {
    return this.sameProducer(number?.identity).some((other) => other < (number?.sequence ?? 0));
  }

  /**
   * The batch was certainly not appended, and is not sent again under its number: the batches behind it get new
   * numbers.
   */
  skip(batch: Batch, errorFor: (batch: Batch) => FlotillaError): void {
    const { number } = batch;
    if (number === undefined) return;
    batch.number = undefined;
    const behind = this.pending
      .numbered()
      .filter((other) => other.number?.identity === number.identity && other.number.sequence > number.sequence);
    if (this.name === '') {
      for (const other of behind) forget(other);
      if (number.identity === this.identity) this.identity = ProducerIdentity.unnamed();
      return;
    }
    this.identity.takeBackTo(number.sequence - 1);
    for (const other of behind) {
      if (other.maybeProposed) this.pending.reject(other, errorFor(other));
      // One that is under way is told of the gap, and gets its new number then.
      else if (!this.pending.isInFlight(other)) forget(other);
    }
  }

  /**
   * Batches are given up. Those of a named producer that may be in the stream leave their numbers unsettled; a producer
   * without a name goes on as another one.
   */
  giveUp(batches: readonly Batch[]): void {
    if (this.name === '') {
      if (batches.some(({ number }) => number?.identity === this.identity)) this.identity = ProducerIdentity.unnamed();
      return;
    }
    for (const { number, maybeProposed, packed } of batches) {
      if (number === undefined) continue;
      if (maybeProposed) this.unsettled.set(number.sequence, packed);
      this.identity.takeBackTo(number.sequence - 1);
    }
  }

  private sameProducer(identity: ProducerIdentity | undefined): number[] {
    return this.pending
      .numbered()
      .flatMap(({ number }) => (number?.identity === identity ? (number?.sequence ?? []) : []));
  }
}

function forget(batch: Batch): void {
  batch.number = undefined;
  batch.maybeProposed = false;
}

function isSame(one: PackedBody, other: PackedBody): boolean {
  return one.count === other.count && one.checksum === other.checksum && one.body.byteLength === other.body.byteLength;
}
