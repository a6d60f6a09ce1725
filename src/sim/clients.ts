import { FlotillaError, type LogIndex, logIndex } from '../base/index.js';
import type { Stream } from '../stream/index.js';
import { type LogRecord, type PackedBody, packBody } from '../wire/index.js';
import { requireFresh } from './acknowledgement-checker.js';
import type { Cluster } from './cluster.js';
import type { Host } from './host.js';
import type { Process } from './process.js';
import { SequencedClient } from './sequenced-client.js';
import { Violation } from './violation.js';

const READ_BYTES = 2048;
/** The last producer has none. */
const NAMES = ['first', 'second', ''];
/** The last letters of the namespaces; a batch has one of them. */
const NAMESPACES = 'abcdefgh';

/** Producers and consumers, at whichever node they like. What they are told is checked. */
export class Clients {
  private readonly cluster: Cluster;
  private readonly sequenced: readonly SequencedClient[];
  private nonce = 0;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.sequenced = NAMES.map((name) => new SequencedClient(cluster, name, () => this.newBody()));
  }

  begin(): void {
    this.cluster.after(this.cluster.between(5, 20), () => this.act());
  }

  /**
   * A consistent read, and then the records up to it. A paused node takes the request when it wakes up, before it
   * notices how late it is.
   */
  read(host: Host): void {
    this.cluster.turns.inputAfter(0, host, (process) => void this.readFrom(host, process));
  }

  produce(host: Host): void {
    this.cluster.turns.inputAfter(0, host, ({ stream }) => {
      if (stream !== undefined) void this.produceAt(stream);
    });
  }

  private act(): void {
    const { cluster } = this;
    if (cluster.calm) return;
    // Now and then nobody wants anything for a while.
    cluster.after(cluster.random() < 0.005 ? cluster.between(300, 2000) : cluster.between(2, 40), () => this.act());
    const host = cluster.random() < 0.7 ? cluster.anyLeader() : cluster.any();
    if (cluster.random() < 0.25) this.read(host);
    else if (cluster.random() < 0.5) this.produce(host);
    else this.produceInSequence(host);
  }

  private produceInSequence(host: Host): void {
    const client = this.sequenced[this.cluster.between(0, this.sequenced.length - 1)];
    this.cluster.turns.inputAfter(0, host, ({ stream }) => {
      if (stream !== undefined) client?.act(stream);
    });
  }

  private async produceAt(stream: Stream): Promise<void> {
    const { acknowledgements } = this.cluster;
    const body = this.newBody();
    acknowledgements.sent(body);
    try {
      const proposed = await stream.submit(body);
      this.cluster.defer(() => acknowledgements.acknowledged(body, proposed));
    } catch (error) {
      this.cluster.defer(() => acknowledgements.rejected(body, error));
    }
  }

  private newBody(): PackedBody {
    for (;;) {
      const text = `event ${this.nonce++}`;
      const data = Buffer.alloc(text.length + this.cluster.between(0, 40), text);
      const namespace = `/w/plain/${NAMESPACES[this.nonce % NAMESPACES.length]}`;
      const body = packBody(Array.from({ length: this.cluster.between(1, 3) }, () => ({ namespace, data })));
      if (this.cluster.acknowledgements.isNew(body)) return body;
    }
  }

  private async readFrom(host: Host, { stream }: Process): Promise<void> {
    if (stream === undefined) return;
    const { cluster } = this;
    const asked = cluster.history.records.length;
    try {
      const index = await stream.group.confirmReadIndex();
      cluster.figures.readsConfirmed++;
      cluster.defer(() => requireFresh(asked, index));
      if (index === 0) return;
      const from = logIndex(
        cluster.random() < 0.5 ? cluster.between(1, index) : Math.max(1, index - cluster.between(0, 20)),
      );
      const records = await stream.group.read(from, index, READ_BYTES);
      cluster.defer(() => this.compare(host, from, records));
    } catch (error) {
      if (error instanceof FlotillaError && (error.code !== 'DATA_LOSS' || host.condition !== 'whole')) return;
      cluster.defer(() => {
        throw error;
      });
    }
  }

  private compare({ actor }: Host, from: LogIndex, records: readonly LogRecord[]): void {
    const property = 'consumers see what is committed';
    if (records.length === 0) throw new Violation(property, `${actor} gave out nothing from record ${from} on`);
    this.cluster.figures.recordsRead += records.length;
    for (const [position, { index, bytes }] of records.entries()) {
      const committed = this.cluster.history.records[index - 1];
      if (index !== from + position || committed === undefined || Buffer.compare(committed.bytes, bytes) !== 0)
        throw new Violation(property, `${actor} gave out another record ${index} than the committed one`);
    }
  }
}
