import { actorId, counter, FlotillaError } from '../../base/index.js';
import { type EventId, formatEventId, parseEventId } from '../../event/index.js';

/**
 * What a producer holds once its events are fsynced on a majority: they are in
 * the stream, whole and next to each other, and the node that answered can
 * serve them.
 */
export class Receipt {
  /** Number of events. */
  readonly count: number;
  /** Raft term and log index of the entry that holds the events. */
  readonly term: number;
  readonly logIndex: number;
  /** The stream's incarnation: 32 hexadecimal digits. */
  readonly incarnation: string;
  private readonly first: EventId;

  constructor(first: EventId, count: number, entry: ReceiptEntry) {
    this.first = first;
    this.count = count;
    this.term = entry.term;
    this.logIndex = entry.logIndex;
    this.incarnation = entry.incarnation;
  }

  /** Id of the first event, 25 digits: the only one where one was produced. */
  get id(): string {
    return formatEventId(this.first);
  }

  get firstId(): string {
    return formatEventId(this.first);
  }

  get lastId(): string {
    return this.idAt(this.count - 1);
  }

  /** The ids of all events, in their order. */
  ids(): string[] {
    return Array.from({ length: this.count }, (_, position) => this.idAt(position));
  }

  /** Counter and actor id of the first event. */
  get eventId(): EventId {
    return this.first;
  }

  private idAt(position: number): string {
    return formatEventId({ counter: counter(this.first.counter + position), actor: this.first.actor });
  }
}

/** The log entry that a receipt stands on. */
export interface ReceiptEntry {
  readonly term: number;
  readonly logIndex: number;
  readonly incarnation: string;
}

/** A node's receipt for a whole batch, which several calls may share. */
export interface BatchReceipt extends ReceiptEntry {
  readonly firstId: string;
  readonly count: number;
}

/** Cuts the part of one call, which starts at `offset`, out of its batch's receipt. */
export function receiptFor(batch: { first: EventId; entry: ReceiptEntry }, offset: number, count: number): Receipt {
  const first = { counter: counter(batch.first.counter + offset), actor: actorId(batch.first.actor) };
  return new Receipt(first, count, batch.entry);
}

/** The first id of a batch's receipt; a receipt for another number of events is a defect of the node. */
export function firstIdOf(receipt: BatchReceipt, expectedCount: number): EventId {
  if (receipt.count !== expectedCount) {
    throw new FlotillaError('INTERNAL', `a node acknowledged ${receipt.count} events of a batch of ${expectedCount}`);
  }
  return parseEventId(receipt.firstId, 'receipt.first_id');
}
