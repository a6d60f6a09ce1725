/** Simulated time: what is to happen, in the order of its time, and of its planning where times are equal. */
export class EventQueue {
  nowMs = 0;
  /** A binary heap by time and sequence. */
  private readonly events: { readonly atMs: number; readonly sequence: number; readonly run: () => void }[] = [];
  private sequence = 0;

  at(atMs: number, run: () => void): void {
    const event = { atMs: Math.max(atMs, this.nowMs), sequence: this.sequence++, run };
    let position = this.events.push(event) - 1;
    while (position > 0) {
      const parent = (position - 1) >> 1;
      if (!this.isBefore(position, parent)) break;
      this.swap(position, parent);
      position = parent;
    }
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  /** Time of the next event; Infinity where there is none. */
  get nextMs(): number {
    return this.events[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** Everything that is due by then. */
  runUntil(timeMs: number): void {
    while (this.nextMs <= timeMs) this.runNext();
  }

  runNext(): void {
    const first = this.events[0];
    const last = this.events.pop();
    if (first === undefined || last === undefined) return;
    if (this.events.length > 0) {
      this.events[0] = last;
      this.sink();
    }
    this.nowMs = first.atMs;
    first.run();
  }

  private sink(): void {
    for (let position = 0; ; ) {
      const left = 2 * position + 1;
      const least = left + 1 < this.events.length && this.isBefore(left + 1, left) ? left + 1 : left;
      if (least >= this.events.length || !this.isBefore(least, position)) return;
      this.swap(least, position);
      position = least;
    }
  }

  private isBefore(left: number, right: number): boolean {
    const a = this.events[left];
    const b = this.events[right];
    return a !== undefined && b !== undefined && (a.atMs - b.atMs || a.sequence - b.sequence) < 0;
  }

  private swap(left: number, right: number): void {
    const a = this.events[left];
    const b = this.events[right];
    if (a === undefined || b === undefined) return;
    this.events[left] = b;
    this.events[right] = a;
  }
}
