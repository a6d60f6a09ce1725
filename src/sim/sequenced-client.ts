import { FlotillaError, logIndex } from '../base/index.js';
import type { ProducerStamp } from '../event/index.js';
import { UNNAMED_EPOCH } from '../machine/stream/index.js';
import type { OpenedProducer, Stream } from '../stream/index.js';
import type { PackedBody } from '../wire/index.js';
import type { Cluster } from './cluster.js';
import { Violation } from './violation.js';

/** Batches that one has begun and has no ids of. */
const OPEN_MAX = 3;

/**
 * A producer whose batches have stamps. It sends what it has begun again and
 * again, at whichever node, until it is told the ids. Now and then it begins
 * anew, under its name or without one, or gives up on events whose outcome it
 * does not know and uses their sequence for others.
 */
export class SequencedClient {
  private readonly cluster: Cluster;
  private readonly name: string;
  private readonly newBody: () => PackedBody;
  private opened: OpenedProducer | undefined;
  private readonly open = new Map<number, PackedBody>();
  private nextSequence = 1;
  /** The last of its batches that it knows to be there. */
  private acknowledged = { epoch: 0, sequence: 0 };
  /** Where the log was when a producer without a name began. */
  private bornAfter = logIndex(0);

  /** The empty name: it has none. */
  constructor(cluster: Cluster, name: string, newBody: () => PackedBody) {
    this.cluster = cluster;
    this.name = name;
    this.newBody = newBody;
  }

  act(stream: Stream): void {
    const { cluster, opened } = this;
    if (opened === undefined || cluster.random() < 0.02) this.beginAt(stream);
    else if (this.open.size < OPEN_MAX && cluster.random() < 0.5) this.sendNew(stream, opened);
    else this.sendAgain(stream, opened);
  }

  private beginAt(stream: Stream): void {
    if (this.name !== '') {
      void this.openAt(stream);
      return;
    }
    this.opened = { id: this.cluster.between(1, 2 ** 40), epoch: UNNAMED_EPOCH, sequence: 0 };
    this.open.clear();
    this.nextSequence = 1;
    this.acknowledged = { epoch: UNNAMED_EPOCH, sequence: 0 };
    this.bornAfter = stream.state.appliedIndex;
  }

  private async openAt(stream: Stream): Promise<void> {
    const { acknowledgements } = this.cluster;
    const before = this.opened === undefined ? 0 : acknowledgements.batchesOf(this.opened.id);
    try {
      const opened = await stream.openProducer(this.name);
      this.cluster.defer(() => {
        acknowledgements.opened(opened, before);
        if (opened.epoch > this.acknowledged.epoch && opened.sequence < this.acknowledged.sequence)
          throw new Violation(
            'a producer is remembered',
            `${this.name} was told ${opened.sequence}, after ${this.acknowledged.sequence}`,
          );
      });
      // A node that led may answer late, when the next epoch is open elsewhere.
      if (this.opened !== undefined && opened.epoch < this.opened.epoch) return;
      this.opened = opened;
      this.nextSequence = Math.max(opened.sequence, this.acknowledged.sequence, ...this.open.keys()) + 1;
    } catch (error) {
      // It may have been opened all the same; another may be open already.
      if (!(error instanceof FlotillaError)) throw error;
    }
  }

  private sendNew(stream: Stream, opened: OpenedProducer): void {
    const sequence = this.nextSequence++;
    const body = this.newBody();
    this.open.set(sequence, body);
    void this.sendTo(stream, { producer: opened.id, epoch: opened.epoch, sequence }, body);
  }

  private sendAgain(stream: Stream, opened: OpenedProducer): void {
    const { cluster } = this;
    const open = [...this.open];
    const picked = open[cluster.between(0, Math.max(0, open.length - 1))];
    if (picked === undefined) return;
    const [sequence] = picked;
    const body = cluster.random() < 0.2 ? this.newBody() : picked[1];
    this.open.set(sequence, body);
    void this.sendTo(stream, { producer: opened.id, epoch: opened.epoch, sequence }, body);
  }

  private async sendTo(stream: Stream, stamp: ProducerStamp, body: PackedBody): Promise<void> {
    const { acknowledgements } = this.cluster;
    const before = acknowledgements.batchesOf(stamp.producer);
    acknowledgements.sent(body);
    try {
      const proposed = await stream.submit(body, { ...stamp, bornAfter: this.bornAfter });
      this.cluster.defer(() => acknowledgements.acknowledged(body, proposed));
      this.settled(stamp);
    } catch (error) {
      this.cluster.defer(() => acknowledgements.rejected(body, error, stamp, before));
      // Other events of its own are there: they were not given up in time.
      if (error instanceof FlotillaError && error.code === 'SEQUENCE_REUSED') this.settled(stamp);
    }
  }

  private settled({ producer, epoch, sequence }: ProducerStamp): void {
    if (producer !== this.opened?.id) return;
    this.open.delete(sequence);
    if (sequence > this.acknowledged.sequence) this.acknowledged = { epoch, sequence };
  }
}
