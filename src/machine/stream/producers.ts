import {
  type ActorId,
  actorId,
  type Counter,
  counter,
  LIMITS,
  type LogIndex,
  logIndex,
  present,
  type Term,
  term as termOf,
} from '../../base/index.js';
import type { BatchHeader } from '../../event/index.js';

/** A batch that a producer has in the stream. */
export interface KnownBatch {
  /** Number of events. */
  readonly count: number;
  readonly firstCounter: Counter;
  /** The node that took it in. */
  readonly actor: ActorId;
  readonly index: LogIndex;
  readonly term: Term;
  /** Length and CRC-32 of its encoded body: with the count, what tells it from another batch. */
  readonly bodyLength: number;
  readonly bodyChecksum: number;
}

/** What a stream remembers of a producer. */
export interface ProducerState {
  /** Random, chosen by the leader that opened it. */
  readonly id: number;
  /** Empty: it has none, and is opened once. */
  readonly name: string;
  readonly epoch: number;
  /** What the command that opened it last proposed as its id. */
  readonly openedAs: number;
  /** Log time of its last batch, or of when it was opened. */
  readonly usedMs: number;
  /** Of its last batch; 0 before the first. */
  readonly sequence: number;
  /** The last ones, up to {@link sequence}. */
  readonly batches: readonly KnownBatch[];
}

/** The payload of a `producer` record: a producer is opened, under its name a second time with the next epoch. */
export interface OpenProducer {
  /** Which it gets where none of its name is known. */
  readonly id: number;
  readonly name: string;
}

type EncodedBatch = readonly [number, number, number, number, number, number, number];
export type EncodedProducer = readonly [number, string, number, number, number, number, readonly EncodedBatch[]];

/**
 * The producers that a stream remembers, and of each its last batches, so that
 * one that is sent again gets the ids of its first attempt. All of it comes from
 * the log: every node that has applied as many records knows the same.
 */
export class ProducerTable {
  /** By id, the one that was silent longest first. */
  private readonly producers = new Map<number, ProducerState>();
  private readonly ids = new Map<string, number>();

  static decode(encoded: readonly EncodedProducer[]): ProducerTable {
    const table = new ProducerTable();
    for (const [id, name, epoch, openedAs, usedMs, sequence, batches] of encoded)
      table.put({ id, name, epoch, openedAs, usedMs, sequence, batches: batches.map(decodeBatch) });
    return table;
  }

  encode(): EncodedProducer[] {
    return [...this.producers.values()].map(({ id, name, epoch, openedAs, usedMs, sequence, batches }) => {
      return [id, name, epoch, openedAs, usedMs, sequence, batches.map(encodeBatch)];
    });
  }

  get size(): number {
    return this.producers.size;
  }

  get(id: number): ProducerState | undefined {
    return this.producers.get(id);
  }

  named(name: string): ProducerState | undefined {
    const id = this.ids.get(name);
    return id === undefined ? undefined : this.producers.get(id);
  }

  open({ id, name }: OpenProducer, timeMs: number): void {
    const before = this.named(name);
    if (before !== undefined) this.put({ ...before, epoch: before.epoch + 1, openedAs: id, usedMs: timeMs });
    else if (!this.producers.has(id))
      this.put({ id, name, epoch: 1, openedAs: id, usedMs: timeMs, sequence: 0, batches: [] });
    if (this.producers.size > LIMITS.producers) this.forget(this.leastMissed());
  }

  /** One that was forgotten between the leader's decision and this stays so: it is refused from now on. */
  appended(header: BatchHeader, { index, term }: Pick<KnownBatch, 'index' | 'term'>, timeMs: number): void {
    const { producer, epoch, sequence, count, baseCounter, actor, bodyLength, bodyChecksum } = header;
    const before = this.producers.get(producer);
    if (before?.epoch !== epoch || before.sequence + 1 !== sequence) return;
    const batch: KnownBatch = { count, firstCounter: baseCounter, actor, index, term, bodyLength, bodyChecksum };
    this.put({
      ...before,
      usedMs: timeMs,
      sequence,
      batches: [...before.batches, batch].slice(-LIMITS.producerBatches),
    });
  }

  /** Forgets those that were silent too long as of `timeMs`, log time. */
  expire(timeMs: number): void {
    for (const producer of this.producers.values()) {
      if (timeMs - producer.usedMs <= LIMITS.producerIdleMs) return;
      this.forget(producer);
    }
  }

  /** As the one that was used last. */
  private put(producer: ProducerState): void {
    this.producers.delete(producer.id);
    this.producers.set(producer.id, producer);
    if (producer.name !== '') this.ids.set(producer.name, producer.id);
  }

  /** Programs that come and go open many without a name; whoever has one means to come back. */
  private leastMissed(): ProducerState {
    // The last is the one for which there is no room.
    const others = [...this.producers.values()].slice(0, -1);
    return present(others.find(({ name }) => name === '') ?? others[0], 'there are too many');
  }

  private forget({ id, name }: ProducerState): void {
    this.producers.delete(id);
    this.ids.delete(name);
  }
}

/** The known batch of this sequence, if it is among the last. */
export function knownBatch({ sequence, batches }: ProducerState, sought: number): KnownBatch | undefined {
  const behind = sequence - sought;
  return behind < 0 ? undefined : batches[batches.length - 1 - behind];
}

function encodeBatch({ count, firstCounter, actor, index, term, bodyLength, bodyChecksum }: KnownBatch): EncodedBatch {
  return [count, firstCounter, actor, index, term, bodyLength, bodyChecksum];
}

function decodeBatch([count, firstCounter, actor, index, term, bodyLength, bodyChecksum]: EncodedBatch): KnownBatch {
  // The checkpoint's checksum has been verified: these are the numbers that were encoded.
  return {
    count,
    firstCounter: counter(firstCounter),
    actor: actorId(actor),
    index: logIndex(index),
    term: termOf(term),
    bodyLength,
    bodyChecksum,
  };
}
