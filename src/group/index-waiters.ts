import { FlotillaError, type LogIndex } from '../base/index.js';

interface Waiter {
  readonly index: LogIndex;
  readonly resolve: () => void;
  readonly reject: (error: FlotillaError) => void;
}

/** Callers that wait until the log has come to an index: until a record is committed, or has taken effect. */
export class IndexWaiters {
  private reachedIndex: LogIndex;
  private readonly waiters = new Set<Waiter>();
  private stopped = false;

  constructor(reachedIndex: LogIndex) {
    this.reachedIndex = reachedIndex;
  }

  get index(): LogIndex {
    return this.reachedIndex;
  }

  /** How many wait. */
  get size(): number {
    return this.waiters.size;
  }

  advance(index: LogIndex): void {
    if (index === this.reachedIndex) return;
    this.reachedIndex = index;
    for (const waiter of this.waiters) {
      if (waiter.index > index) continue;
      this.waiters.delete(waiter);
      waiter.resolve();
    }
  }

  /** Rejects with CANCELLED when `signal` is aborted first, with SHUTTING_DOWN when the node stops. */
  async reached(index: LogIndex, signal?: AbortSignal): Promise<void> {
    if (index <= this.reachedIndex) return;
    if (this.stopped) throw stopping();
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = { index, resolve: () => settle(resolve), reject: (error) => settle(() => reject(error)) };
      const onAbort = (): void => waiter.reject(new FlotillaError('CANCELLED', 'the caller went away'));
      const settle = (finish: () => void): void => {
        this.waiters.delete(waiter);
        signal?.removeEventListener('abort', onAbort);
        finish();
      };
      this.waiters.add(waiter);
      signal?.addEventListener('abort', onAbort);
      if (signal?.aborted === true) onAbort();
    });
  }

  /** As {@link reached}, for what the leader has taken into its log: rejects with OUTCOME_UNKNOWN. */
  async reachedByProposal(index: LogIndex): Promise<void> {
    try {
      await this.reached(index);
    } catch (cause) {
      throw new FlotillaError(
        'OUTCOME_UNKNOWN',
        'the node stopped before it could serve what the leader had taken: it may have been appended',
        { cause },
      );
    }
  }

  stop(): void {
    this.stopped = true;
    for (const waiter of [...this.waiters]) waiter.reject(stopping());
  }
}

function stopping(): FlotillaError {
  return new FlotillaError('SHUTTING_DOWN', 'the node is stopping');
}
