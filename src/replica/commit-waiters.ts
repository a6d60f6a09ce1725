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
  private roleWaiters: (() => void)[] = [];
  private stopped = false;

  constructor(committed: LogIndex) {
    this.committed = committed;
  }

  get committedIndex(): LogIndex {
    return this.committed;
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

  /** Resolves at the next change of role, leader or term. */
  roleChanged(): Promise<void> {
    return new Promise((resolve) => this.roleWaiters.push(resolve));
  }

  wakeRole(): void {
    const waiters = this.roleWaiters;
    this.roleWaiters = [];
    for (const wake of waiters) wake();
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
