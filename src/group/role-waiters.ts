/** Callers that wait for the next change of a group's role, term, leader or members. */
export class RoleWaiters {
  private readonly waiters = new Set<() => void>();

  /** How many wait. */
  get size(): number {
    return this.waiters.size;
  }

  /** Resolves as well when `signal` is aborted: a role may stay for months, and its waiters must not pile up. */
  changed(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.waiters.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.waiters.add(wake);
      signal?.addEventListener('abort', wake);
      if (signal?.aborted === true) wake();
    });
  }

  wake(): void {
    for (const wake of [...this.waiters]) wake();
  }
}
