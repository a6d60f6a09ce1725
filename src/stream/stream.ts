import { type ActorId, FlotillaError, type Random } from '../base/index.js';
import { NO_PRODUCER, type ProducerStamp } from '../event/index.js';
import type { Clock, Deadlines } from '../group/index.js';
import type { Proposed } from '../machine/index.js';
import {
  appendCommand,
  checkSettingsChanges,
  openCommand,
  type SettingsChanges,
  type StreamSettings,
  settingsCommand,
} from '../machine/stream/index.js';
import type { PackedBody } from '../wire/index.js';
import { NamespaceReads } from './namespace-reads.js';
import type { StreamLog, Turns } from './ports.js';
import { Retention } from './retention.js';
import type { StreamGroup } from './stream-group.js';
import { StreamState } from './stream-state.js';

/** What a named producer stamps its batches with. */
export interface OpenedProducer {
  readonly id: number;
  readonly epoch: number;
  /** Sequence of the last batch that the stream has of it; 0 where there is none. */
  readonly sequence: number;
}

/** What a stream tells of its work; telemetry counts it. */
export interface StreamObserver {
  /** So many events are not delivered any more: the stream begins later than before. */
  removed(events: number): void;
  /** What the settings allow could not be brought about; it is tried again. */
  retentionFailed(error: FlotillaError): void;
}

export interface StreamOptions {
  /** It was made with `streamOn`, and has not begun. */
  readonly group: StreamGroup;
  readonly stored: StreamLog;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly random: Random;
  /** The first leader gives them to a stream that has none yet; absent: it gets none. */
  readonly initialSettings?: StreamSettings;
  /** How often a leader looks for what is to be given up; default: `LIMITS.retentionCheckMs`. */
  readonly retentionCheckMs?: number;
  readonly observer?: StreamObserver;
  readonly onFatal: (error: unknown) => void;
}

/** A stream, as one node has it: what a Raft group of events adds to the group. */
export class Stream {
  readonly group: StreamGroup;
  readonly state: StreamState;
  private readonly stored: StreamLog;
  private readonly random: Random;

  constructor(options: StreamOptions) {
    const { group, stored, observer } = options;
    this.group = group;
    this.stored = stored;
    this.random = options.random;
    const state = new StreamState(group, options.clock);
    this.state = state;
    const retention = new Retention({
      ...options,
      state,
      onRetentionFailed: (error) => observer?.retentionFailed(error),
    });
    let { firstCounter } = state.logBegin;
    group.listen({
      turned: () => {
        state.notePosition();
        retention.notice();
        const { firstCounter: first } = state.logBegin;
        if (first > firstCounter) observer?.removed(first - firstCounter);
        firstCounter = first;
      },
      clocksCompared: () => retention.clocksCompared(),
      stopped: () => retention.stop(),
    });
  }

  /**
   * Appends a batch that this node took in, by way of the leader. Resolves when it is committed and this node can serve
   * it. Rejects as `Group.submit` does.
   */
  submit(body: PackedBody, stamp: ProducerStamp = NO_PRODUCER): Promise<Proposed> {
    return this.group.submit(appendCommand(this.group.self, body, stamp));
  }

  /** Appends a batch that another node took in. It is not passed on a second time. */
  proposeFor(actor: ActorId, body: PackedBody, stamp: ProducerStamp = NO_PRODUCER): Promise<Proposed> {
    return this.group.propose(appendCommand(actor, body, stamp));
  }

  /** Changes settings, on the leader; resolves when they are in force here. Rejects with INVALID_ARGUMENT, too. */
  async changeSettings(changes: SettingsChanges): Promise<void> {
    checkSettingsChanges(changes);
    await this.group.execute(settingsCommand(this.group.self, { changes, onlyFirst: false }));
  }

  /**
   * Opens a named producer, on the leader. The holder of an earlier epoch of the name is refused from then on. Rejects
   * with PRODUCER_FENCED where another has opened the name meanwhile.
   */
  async openProducer(name: string): Promise<OpenedProducer> {
    const id = this.newProducerId();
    await this.group.execute(openCommand(this.group.self, { id, name }));
    const producer = this.state.producerNamed(name);
    if (producer?.openedAs === id) return { id: producer.id, epoch: producer.epoch, sequence: producer.sequence };
    throw new FlotillaError(
      'PRODUCER_FENCED',
      `name: another client has opened producer "${name}" at the same time, and later`,
    );
  }

  /** Reads by namespace; `turns` bounds what they take of the event loop. */
  byNamespace(turns?: Turns): NamespaceReads {
    return new NamespaceReads(this, this.stored, turns);
  }

  /** 53 bits: no later producer gets it again, not even in a stream that was restored to an earlier state. */
  private newProducerId(): number {
    let id = Math.floor(this.random() * 2 ** 21) * 2 ** 32 + Math.floor(this.random() * 2 ** 32);
    while (id === 0 || this.state.producers.get(id) !== undefined) id = (id + 1) % 2 ** 53;
    return id;
  }
}
