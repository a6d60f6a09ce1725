import type { EventLimits, NewEvent } from '../../event/index.js';
import { BatchSender, type BatchSenderOptions } from './batch-sender.js';
import { checkCallSize, type EventInput, encodedBytes, toNewEvent, toNewEvents } from './event-input.js';
import type { Receipt } from './receipt.js';

export interface ProducerOptions extends BatchSenderOptions {
  readonly limits: EventLimits;
  readonly onClosed: (producer: Producer) => void;
}

/**
 * Appends events that are in the stream once, however often they had to be sent: over lost connections and changes of
 * the leader, and restarts of all nodes. The stream remembers a producer and its last batches for a week after the last
 * of them (docs/producing.md).
 *
 * Many calls may wait at once. They are sent in their order, several batches at a time.
 */
export class Producer implements AsyncDisposable {
  /** Empty: it has none, and is known to the stream by its first batch. */
  readonly name: string;
  private readonly sender: BatchSender;
  private readonly limits: EventLimits;
  private readonly onClosed: ProducerOptions['onClosed'];

  /** @internal Made by FlotillaClient. */
  constructor({ limits, onClosed, ...options }: ProducerOptions) {
    this.name = options.name;
    this.limits = limits;
    this.onClosed = onClosed;
    this.sender = new BatchSender(options);
  }

  /**
   * The number of a named producer's last batch that is known to be in the stream: 1, 2, 3 …; 0 before the first. Each
   * of its calls is one batch.
   */
  get lastSequence(): number {
    return this.sender.lastSequence;
  }

  /**
   * Appends one event. Resolves when it is fsynced on a majority.
   *
   * Calls that are made in one turn of the event loop, and those that wait while batches are under way, travel
   * together, unless the producer has a name. A loop that does not await each call awaits {@link drained} instead, or
   * runs into TOO_MANY_REQUESTS when too much waits.
   *
   * Rejects with INVALID_ARGUMENT or MESSAGE_TOO_LARGE; with UNREACHABLE, NO_LEADER or another retryable code where the
   * event was certainly not appended in time; with OUTCOME_UNKNOWN where no node has said in time whether it was.
   *
   * After an unknown outcome the calls behind it on a named producer are not sent (NOT_READY), and its number is still
   * to be settled: append the same events again. Other events take the number where the first are not there; else they
   * are refused (SEQUENCE_REUSED), and the next call has the next number. A named producer also rejects with
   * PRODUCER_FENCED where another has opened its name since, and with PRODUCER_EXPIRED where the stream does not
   * remember it any more.
   */
  produce(event: EventInput): Promise<Receipt> {
    return this.submit(() => [toNewEvent(event, this.limits, 'event')]);
  }

  /** Appends events as one batch: all of them, next to each other, or none. Otherwise like {@link produce}. */
  append(events: readonly EventInput[]): Promise<Receipt> {
    return this.submit(() => toNewEvents(events, this.limits));
  }

  /** Whether as much waits for receipts as should. */
  get writable(): boolean {
    return this.sender.writable;
  }

  /** Undefined where {@link writable}; else a promise of that. */
  drained(): Promise<void> | undefined {
    return this.sender.drained();
  }

  /** Takes nothing more in, waits until every call has its answer, and disconnects. The stream still remembers it. */
  async close(): Promise<void> {
    await this.sender.close();
    this.onClosed(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What is wrong with the events is a rejection, like every other failure of the call. */
  private submit(makeEvents: () => readonly NewEvent[]): Promise<Receipt> {
    try {
      const events = makeEvents();
      let bytes = 0;
      for (const event of events) bytes += encodedBytes(event);
      checkCallSize(events.length, bytes);
      return this.sender.submit(events, bytes);
    } catch (error) {
      return Promise.reject(error);
    }
  }
}
