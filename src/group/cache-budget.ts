/** A hot tail within the budget. */
export interface BudgetedCache {
  /** Lets go of the oldest record that it need not keep, and returns what that weighed; 0 where there is none. */
  evictOldest(): number;
}

/**
 * The bound in bytes that all hot tails of a node share. Where it is exceeded, the tail that was neither written nor
 * read for the longest time gives first: a group in which nothing happens gives way to those that are busy. What is not
 * yet durable stays whatever the bound says, because it stands nowhere else; LIMITS.unpersistedBytes bounds that, for
 * each group.
 */
export class CacheBudget {
  private readonly capacityBytes: number;
  /** The least recently used first. */
  private readonly caches = new Set<BudgetedCache>();
  private latest: BudgetedCache | undefined;
  private size = 0;

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes;
  }

  /** What all tails weigh. */
  get bytes(): number {
    return this.size;
  }

  used(cache: BudgetedCache): void {
    if (cache === this.latest) return;
    this.latest = cache;
    this.caches.delete(cache);
    this.caches.add(cache);
  }

  /** A tail has grown, or shrunk by itself. */
  changed(bytes: number): void {
    this.size += bytes;
  }

  /** Lets caches give up what is above the bound, as far as they can. */
  enforce(): void {
    for (const cache of this.caches) {
      while (this.size > this.capacityBytes) {
        const freed = cache.evictOldest();
        if (freed === 0) break;
        this.size -= freed;
      }
      if (this.size <= this.capacityBytes) return;
    }
  }
}
