import { advanced, FlotillaError, LIMITS, type LogIndex, logIndex } from '../base/index.js';
import type { MachineKind, StateMachine } from '../machine/index.js';
import type { Checkpoint, LogRecord } from '../wire/index.js';
import type { GroupParts } from './group-parts.js';
import type { HotLog } from './hot-log.js';
import { IndexWaiters } from './index-waiters.js';
import type { Clock, GroupLog, IndexedState, RecoveredGroup, Storage } from './ports.js';

/** A checkpoint on its way: the state as of a record, whatever is applied meanwhile. */
interface Encoding {
  readonly index: LogIndex;
  readonly steps: Generator<void, Uint8Array>;
}

export interface AppliedStateOptions<M extends StateMachine> extends Pick<GroupParts, 'group' | 'inbox'> {
  readonly log: Pick<HotLog, 'hot' | 'read'>;
  readonly stored: Pick<GroupLog, 'checkpointDue'> & { readonly recovered: Pick<RecoveredGroup, 'state'> };
  readonly storage: Pick<Storage, 'persist'>;
  readonly clock: Pick<Clock, 'soon'>;
  readonly kind: Pick<MachineKind<never, M>, 'decode'>;
}

/**
 * What the committed records of this node's log have led to. A record takes
 * effect once it is committed and durable here: then no crash takes it back, and
 * the state goes past the end of a segment only when the storage knows where the
 * next one begins, which gets the state as of there.
 */
export class AppliedState<M extends StateMachine> {
  private readonly options: AppliedStateOptions<M>;
  private current: M;
  private readonly waiters: IndexWaiters;
  private settledIndex: LogIndex;
  /** What a restarted node had not known to be committed is on disk only. */
  private isReading = false;
  /** The last checkpoint that was handed to the storage. */
  private checkpointIndex: LogIndex;
  /** The last one that is durable. */
  private storedCheckpointIndex: LogIndex;
  private encoding: Encoding | undefined;

  constructor(options: AppliedStateOptions<M>) {
    this.options = options;
    this.current = options.kind.decode(options.stored.recovered.state);
    const { appliedIndex } = this.current;
    this.waiters = new IndexWaiters(appliedIndex);
    this.settledIndex = appliedIndex;
    this.checkpointIndex = appliedIndex;
    this.storedCheckpointIndex = appliedIndex;
  }

  get machine(): M {
    return this.current;
  }

  /** Up to this record the log has taken effect. */
  get appliedIndex(): LogIndex {
    return this.current.appliedIndex;
  }

  /** The last one that a checkpoint of the state is stored of: the log may begin there. */
  get durableCheckpointIndex(): LogIndex {
    return this.storedCheckpointIndex;
  }

  /** Resolves when a record has taken effect here; rejects with SHUTTING_DOWN when the node stops. */
  reached(index: LogIndex): Promise<void> {
    return this.waiters.reached(index);
  }

  /** As {@link reached}, for what this node has proposed: rejects with OUTCOME_UNKNOWN. */
  reachedByProposal(index: LogIndex): Promise<void> {
    return this.waiters.reachedByProposal(index);
  }

  /** Everything up to `index` is committed, and durable here. */
  advance(index: LogIndex): void {
    this.settledIndex = index;
    while (!this.isReading && this.appliedIndex < index) this.applySome();
    this.waiters.advance(this.appliedIndex);
  }

  /** A snapshot has taken the place of the log. Throws before anything is changed where it is of a newer version. */
  decode({ before, state }: Checkpoint): M {
    const machine = this.options.kind.decode(state);
    if (machine.appliedIndex === before.index) return machine;
    throw new FlotillaError(
      'DATA_LOSS',
      `a snapshot of ${before.index} holds the state as of ${machine.appliedIndex}: its log is damaged`,
    );
  }

  /** The log is replaced by a snapshot, which holds this state. */
  replaceWith(machine: M): void {
    this.current = machine;
    this.encoding = undefined;
    this.checkpointIndex = machine.appliedIndex;
    this.storedCheckpointIndex = machine.appliedIndex;
    this.waiters.advance(machine.appliedIndex);
  }

  stop(): void {
    this.encoding = undefined;
    this.waiters.stop();
  }

  private applySome(): void {
    const from = logIndex(this.appliedIndex + 1);
    const records = this.options.log.hot(from, this.nextStop(), LIMITS.readChunkBytes);
    if (records === undefined) void this.applyStored(from);
    else this.apply(records);
  }

  /** Stores the state where that is due here; how far to go until it may be due again. */
  private nextStop(): LogIndex {
    const { appliedIndex } = this;
    const { stored } = this.options;
    if (appliedIndex > this.checkpointIndex && stored.checkpointDue(appliedIndex) === appliedIndex)
      this.encodeCheckpoint();
    const due = stored.checkpointDue(logIndex(appliedIndex + 1));
    return logIndex(Math.min(this.settledIndex, due ?? this.settledIndex));
  }

  private encodeCheckpoint(): void {
    // Checkpoints are stored in the order of the log.
    while (this.encoding !== undefined) this.encodeStep(this.encoding);
    const { current, appliedIndex } = this;
    this.checkpointIndex = appliedIndex;
    const steps = current.encodeInSteps?.();
    if (steps === undefined) {
      void this.store({ index: appliedIndex, state: current.encode() });
      return;
    }
    this.encoding = { index: appliedIndex, steps };
    this.encodeOn(this.encoding);
  }

  /** A large state takes several turns, between which the group goes on. */
  private encodeOn(encoding: Encoding): void {
    // Another checkpoint was due, a snapshot has taken the place of the log, or the group has stopped.
    if (this.encoding !== encoding) return;
    this.encodeStep(encoding);
    const { clock, inbox } = this.options;
    if (this.encoding === encoding) clock.soon(() => inbox.post(() => this.encodeOn(encoding)));
  }

  private encodeStep({ index, steps }: Encoding): void {
    const { done, value } = steps.next();
    if (done !== true) return;
    this.encoding = undefined;
    void this.store({ index, state: value });
  }

  /** Never rejects. */
  private async store(checkpoint: IndexedState): Promise<void> {
    const { group, storage, inbox } = this.options;
    try {
      await storage.persist([{ group, records: [], checkpoint }]);
    } catch (error) {
      inbox.fail(error);
      return;
    }
    inbox.post(() => {
      this.storedCheckpointIndex = logIndex(Math.max(this.storedCheckpointIndex, checkpoint.index));
    });
  }

  /** Never rejects. */
  private async applyStored(from: LogIndex): Promise<void> {
    const { log, inbox } = this.options;
    const { current } = this;
    this.isReading = true;
    try {
      const records = await log.read(from, this.nextStop(), LIMITS.readChunkBytes);
      inbox.post(() => {
        this.isReading = false;
        // Unless a snapshot has taken its place.
        if (current === this.current) this.apply(records);
      });
    } catch (error) {
      inbox.post(() => {
        this.isReading = false;
        if (current === this.current) throw error;
      });
    }
  }

  private apply(records: readonly LogRecord[]): void {
    const { appliedIndex } = this;
    for (const record of records) this.current.apply(record);
    advanced(appliedIndex, this.appliedIndex, 'applying committed records');
  }
}
