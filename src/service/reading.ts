import { FlotillaError, LIMITS } from '../base/index.js';
import { ReadTurns, type Turns } from '../stream/index.js';

const clock = {
  nowMs: () => performance.now(),
  soon: (run: () => void) => setImmediate(run),
};

/** What many share, such as memory: each takes what it needs, and gives it back. */
export interface Allowance {
  /**
   * Undefined where it was there at once. Rejects with TOO_MANY_REQUESTS where it is waited for in vain, and with
   * CANCELLED when `signal` is aborted first.
   */
  take(amount: number, signal?: AbortSignal): Promise<void> | undefined;
  /** It turned out to be so much more. */
  takeMore(amount: number): void;
  give(amount: number): void;
}

/** `refusal`: what those are told that waited in vain. */
export type NewAllowance = (options: { readonly amount: number; readonly refusal: string }) => Allowance;

/** What all readers of a node share: its time, and the memory for what they go through. */
export class Reading {
  readonly turns = new ReadTurns(clock);
  /** Bytes of log records. */
  readonly records: Allowance;
  /** Lists of namespaces that are being made. */
  readonly lists: Allowance;
  private open = 0;

  constructor(newAllowance: NewAllowance) {
    this.records = newAllowance({
      amount: LIMITS.readRecordsBytes,
      refusal: 'the reads of this node hold all the memory that there is for them: use another node, or try again',
    });
    this.lists = newAllowance({
      amount: LIMITS.namespaceLists,
      refusal: `this node makes ${LIMITS.namespaceLists} lists of namespaces already: use another node, or try again`,
    });
  }

  /** Runs one read, unless there are too many. */
  async admit<Result>(read: () => Promise<Result>): Promise<Result> {
    this.enter();
    try {
      return await read();
    } finally {
      this.leave();
    }
  }

  /** One read more, until it leaves. Throws TOO_MANY_REQUESTS where there are too many. */
  enter(): void {
    if (this.open >= LIMITS.openReads) {
      throw new FlotillaError(
        'TOO_MANY_REQUESTS',
        `this node has ${LIMITS.openReads} reads open, which is as many as it takes: end some, or use another node`,
      );
    }
    this.open++;
  }

  leave(): void {
    this.open--;
  }

  /** The turns of one reader: its work ends where `signal` is aborted. */
  turnsOf(signal: AbortSignal): Turns {
    return new TurnsOfReader(this.turns, signal);
  }
}

/** One reader, and what it may use of the node. */
export interface Reader {
  readonly signal: AbortSignal;
  readonly reading: Reading;
  readonly turns: Turns;
}

class TurnsOfReader implements Turns {
  private readonly turns: ReadTurns;
  private readonly signal: AbortSignal;

  constructor(turns: ReadTurns, signal: AbortSignal) {
    this.turns = turns;
    this.signal = signal;
  }

  get isDue(): boolean {
    return this.turns.isDue;
  }

  async next(): Promise<void> {
    await this.turns.next();
    if (this.signal.aborted) throw new FlotillaError('CANCELLED', 'the reader is gone');
  }
}
