import { FlotillaError, LIMITS, type LogIndex, type Random, type Term } from '../base/index.js';
import { encodeOpenProducer } from '../machine/index.js';
import type { RaftCore } from '../raft/index.js';
import type { GroupTime } from './group-time.js';
import { refusalForRoom } from './refusals.js';
import type { StreamState } from './stream-state.js';

/** What a named producer stamps its batches with. */
export interface OpenedProducer {
  readonly id: number;
  readonly epoch: number;
  /** That of the last batch that the stream has of it; 0 where there is none. */
  readonly sequence: number;
}

/** Opens named producers, on the leader, and knows which of them have their next epoch on its way. */
export class ProducerOpenings {
  private readonly core: RaftCore;
  private readonly stream: StreamState;
  private readonly time: GroupTime;
  private readonly random: Random;
  /** For each name the last opening that this leader has appended in its term. */
  private readonly underWay = new Map<string, LogIndex>();
  private term: Term | undefined;
  private pending = 0;

  constructor(options: {
    readonly core: RaftCore;
    readonly stream: StreamState;
    readonly time: GroupTime;
    readonly random: Random;
  }) {
    this.core = options.core;
    this.stream = options.stream;
    this.time = options.time;
    this.random = options.random;
  }

  /**
   * The holder of an earlier epoch of the name is refused from then on. Rejects as {@link StreamState.propose} does,
   * with PRODUCER_FENCED where another has opened the name meanwhile, and with DISK_NEARLY_FULL and TOO_MANY_REQUESTS.
   */
  async open(name: string): Promise<OpenedProducer> {
    const refusal = refusalForRoom(this.core, 'the producer');
    if (refusal !== undefined) throw refusal;
    if (this.pending >= LIMITS.pendingOpenings)
      throw new FlotillaError(
        'TOO_MANY_REQUESTS',
        `${this.pending} producers are being opened; nothing was proposed: try again`,
      );
    const proposed = this.newId();
    this.pending++;
    try {
      // In a stream where nothing has happened for long, it would otherwise count as silent for as long.
      const { appendedMs } = this.time.stamp() ?? {};
      await this.stream.propose('producer', encodeOpenProducer({ id: proposed, name }), {
        ...(appendedMs === undefined ? {} : { appendedMs }),
        onAppended: (index) => this.begin(name, index),
      });
    } finally {
      this.pending--;
    }
    const producer = this.stream.producerNamed(name);
    if (producer?.openedAs === proposed) return { id: producer.id, epoch: producer.epoch, sequence: producer.sequence };
    throw new FlotillaError(
      'PRODUCER_FENCED',
      `name: another has opened producer "${name}" at the same time, and later`,
    );
  }

  /** The record that takes effect before anything can be said about this name; undefined where there is none. */
  openingOf(name: string): LogIndex | undefined {
    const index = this.term === this.core.term ? this.underWay.get(name) : undefined;
    return index !== undefined && index > this.stream.appliedIndex ? index : undefined;
  }

  private begin(name: string, index: LogIndex): void {
    if (this.term !== this.core.term) this.underWay.clear();
    this.term = this.core.term;
    for (const [other, before] of this.underWay) if (before <= this.stream.appliedIndex) this.underWay.delete(other);
    this.underWay.set(name, index);
  }

  /** With 53 random bits no later producer gets it again, not even in a stream that was restored to an earlier state. */
  private newId(): number {
    let id = Math.floor(this.random() * 2 ** 21) * 2 ** 32 + Math.floor(this.random() * 2 ** 32);
    while (id === 0 || this.stream.producers.get(id) !== undefined) id = (id + 1) % 2 ** 53;
    return id;
  }
}
