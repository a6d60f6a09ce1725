/**
 * Keeps apart the actions on a log's segments: reading them, writing beside their records, and removing or replacing
 * them.
 */
export class RemovalBarrier {
  /** Removals so far: a read that one of them overtook is done again. */
  private count = 0;
  private last: Promise<void> = Promise.resolve();

  /** Removes segments: one such call at a time. */
  async run(remove: () => Promise<void>): Promise<void> {
    const removal = this.last.then(() => {
      this.count++;
      return remove();
    });
    // Readers only wait for its end; the failure is the writer's.
    this.last = removal.catch(() => undefined);
    await removal;
  }

  /** Reads, beside other reads. */
  async beside<Result>(read: () => Promise<Result>): Promise<Result> {
    for (;;) {
      await this.last;
      const { count } = this;
      try {
        return await read();
      } catch (error) {
        if (count === this.count) throw error;
      }
    }
  }

  /**
   * Writes into segments' directories. What a removal overtook is written again: it may have gone into one that was
   * replaced.
   */
  async undisturbed(write: () => Promise<void>): Promise<void> {
    for (let written = -1; written !== this.count; ) {
      await this.beside(async () => {
        written = this.count;
        await write();
      });
    }
  }
}
