/** Something that holds bytes of a budget and can be made to let go of all of them. */
export interface Evictable {
  /** Gives its bytes back before this returns, and is no longer listed. */
  evict(): void;
}

/**
 * How many bytes may be held at once, of a part and of the whole: a budget may
 * have a parent, whose bytes its own are. Where more would be held than may be,
 * whatever has been listed longest lets go first: what makes progress is young,
 * what only occupies memory is old.
 */
export class ByteBudget {
  private readonly limitBytes: number;
  private readonly parent: ByteBudget | undefined;
  /** Oldest first. */
  private readonly evictable = new Set<Evictable>();
  private held = 0;

  constructor(limitBytes: number, parent?: ByteBudget) {
    this.limitBytes = limitBytes;
    this.parent = parent;
  }

  get heldBytes(): number {
    return this.held;
  }

  /**
   * False where more is held than may be, though everything that is listed has let go; the bytes are held even so,
   * until they are given back.
   */
  take(bytes: number): boolean {
    this.held += bytes;
    // This part comes before the whole: a holder within a part that is over its limit lets go before holders elsewhere.
    const fits = this.makeRoom();
    return (this.parent?.take(bytes) ?? true) && fits;
  }

  give(bytes: number): void {
    this.held -= bytes;
    this.parent?.give(bytes);
  }

  /** From now on this may be made to let go; it keeps its place where it is listed already. */
  list(holder: Evictable): void {
    this.evictable.add(holder);
    this.parent?.list(holder);
  }

  unlist(holder: Evictable): void {
    this.evictable.delete(holder);
    this.parent?.unlist(holder);
  }

  private makeRoom(): boolean {
    while (this.held > this.limitBytes) {
      const [oldest] = this.evictable;
      if (oldest === undefined) return false;
      oldest.evict();
    }
    return true;
  }
}
