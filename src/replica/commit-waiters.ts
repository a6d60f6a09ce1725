import { FlotillaError, type LogIndex } from '../base/index.js';

interface Waiter {
  readonly index: LogIndex;
  readonly resolve: () => void;
  readonly reject: (error: FlotillaError) => void;
}

/** Those who wait for the commit index, or for a change of role. */
export class CommitWaiters {
  private committed: LogIndex;
  private readonly waiters = new Set<Waiter>();
  private readonly roleWaiters = new Set<() => void>();
  private stopped = false;

  constructor(committed: LogIndex) {
    this.committed = committed;
  }

  get committedIndex(): LogIndex {
    return this.committed;
  }

  /** How many wait. */
  get size(): number {
    return this.waiters.size + this.roleWaiters.size;
  }

  advance(index: LogIndex): void {
    this.committed = index;
    for (const waiter of this.waiters) {
      if (waiter.index > index) continue;
      this.waiters.delete(waiter);
      waiter.resolve();
    }
  }

  async reached(index: LogIndex, signal?: AbortSignal): Promise<void> {
    if (index <= this.committed) return;
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

  /** As {@link reached}, for a batch that the leader has taken: rejects with OUTCOME_UNKNOWN. */
  async servable(index: LogIndex): Promise<void> {
    try {
      await this.reached(index);
    } catch (cause) {
      throw new FlotillaError(
        'OUTCOME_UNKNOWN',
        'the node stopped before it could serve the batch that the leader had taken: it may have been appended',
        { cause },
      );
    }
  }

  /**
   * Resolves at the next change of role, leader or term, or when `signal` is aborted: a role may stay for months, and
   * its waiters must not pile up.
   */
  roleChanged(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.roleWaiters.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.roleWaiters.add(wake);
      signal?.addEventListener('abort', wake);
      if (signal?.aborted === true) wake();
    });
  }

  wakeRole(): void {
    for (const wake of [...this.roleWaiters]) wake();
  }

  stop(): void {
    this.stopped = true;
    for (const waiter of [...this.waiters]) waiter.reject(stopping());
    this.wakeRole();
  }
}

function stopping(): FlotillaError {
  return new FlotillaError('SHUTTING_DOWN', 'the node is stopping');
}
