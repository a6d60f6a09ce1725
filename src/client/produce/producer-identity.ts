import { LIMITS } from '../../base/index.js';
import { checkProducerName } from '../../event/index.js';
import { proto } from '../../wire/index.js';
import { askInTurn, type ClientContext, mayBeUpgraded } from '../connection/attempts.js';

/** The number that a batch has at its producer. */
export interface BatchNumber {
  readonly identity: ProducerIdentity;
  readonly sequence: number;
}

/** As what the stream knows a producer, and which number its next batch gets. */
export class ProducerIdentity {
  readonly id: number;
  readonly epoch: number;
  /** The stream's, once it is known. */
  incarnation: string;
  private lastNumbered: number;
  private firstSent: { readonly monotonicMs: number; readonly utcMs: number } | undefined;

  private constructor(opened: proto.OpenProducerResponse) {
    this.id = opened.producerId;
    this.epoch = opened.epoch;
    this.incarnation = opened.incarnation;
    this.lastNumbered = opened.lastSequence;
  }

  /** A producer that the stream gets to know by its first batch. */
  static unnamed(): ProducerIdentity {
    const [high, low] = crypto.getRandomValues(new Uint32Array(2));
    const producerId = Math.max(1, ((high ?? 0) % 2 ** 21) * 2 ** 32 + (low ?? 0));
    return new ProducerIdentity({ producerId, epoch: 1, lastSequence: 0, incarnation: '' });
  }

  /** Goes on where the last holder of the name left off; that one is refused from then on. */
  static async open(context: ClientContext, name: string, signal: AbortSignal): Promise<ProducerIdentity> {
    checkProducerName(name, 'name');
    const opened = await askInTurn(
      context,
      proto.EventServiceDefinition,
      (client, call) => client.unary('openProducer', { stream: context.stream, name }, call),
      // Where no answer came it may have been opened, and is opened again: that has the same effect.
      {
        isRead: false,
        signal,
        attemptMs: LIMITS.clientOpenAttemptMs,
        goesOn: (failure, waitedMs) => failure.uncertain || mayBeUpgraded(failure, waitedMs),
      },
    );
    return new ProducerIdentity(opened);
  }

  /** The sequence of the last batch that was given a number. */
  get last(): number {
    return this.lastNumbered;
  }

  next(): BatchNumber {
    this.lastNumbered++;
    return { identity: this, sequence: this.lastNumbered };
  }

  /** The batches behind this one were certainly not appended: their numbers are given out again. */
  takeBackTo(sequence: number): void {
    this.lastNumbered = Math.min(this.lastNumbered, sequence);
  }

  /** What the batch of this number is sent with, now. */
  stamp(sequence: number): proto.ProducerStamp {
    const { id: producerId, epoch, incarnation } = this;
    const firstSentMsAgo = sequence === 1 ? this.firstSentMsAgo() : 0;
    return { producerId, epoch, sequence, incarnation, firstSentMsAgo, bornAfter: 0 };
  }

  /**
   * Measures by two clocks: the monotonic one stands still while the host sleeps, and the time of day may be set back.
   */
  private firstSentMsAgo(): number {
    const now = { monotonicMs: performance.now(), utcMs: Date.now() };
    if (this.firstSent === undefined) {
      this.firstSent = now;
      return 0;
    }
    const { monotonicMs, utcMs } = this.firstSent;
    return Math.ceil(Math.max(now.monotonicMs - monotonicMs, now.utcMs - utcMs)) + 1;
  }
}
