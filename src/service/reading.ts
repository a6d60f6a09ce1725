import { FlotillaError, LIMITS } from '../base/index.js';
import { ReadTurns, type Turns } from '../replica/index.js';
import { Allowance } from '../rpc/index.js';

const clock = {
  nowMs: () => performance.now(),
  soon: (run: () => void) => setImmediate(run),
  after: (delayMs: number, run: () => void) => {
    const timeout = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timeout) };
  },
};

/** What all readers of a node share: its time, and the memory for what they go through. */
export class Reading {
  readonly turns = new ReadTurns(clock);
  /** Bytes of log records. */
  readonly records = new Allowance({
    clock,
    amount: LIMITS.readRecordsBytes,
    refusal: 'the reads of this node hold all the memory that there is for them: use another node, or try again',
  });
  readonly lists = new Allowance({
    clock,
    amount: LIMITS.namespaceLists,
    refusal: `this node makes ${LIMITS.namespaceLists} lists of namespaces already: use another node, or try again`,
  });
  private open = 0;

  /** Runs one read, unless there are too many. */
  async admit<Result>(read: () => Promise<Result>): Promise<Result> {
    if (this.open >= LIMITS.openReads) {
      throw new FlotillaError(
        'TOO_MANY_REQUESTS',
        `this node has ${LIMITS.openReads} reads open, which is as many as it takes: end some, or use another node`,
      );
    }
    this.open++;
    try {
      return await read();
    } finally {
      this.open--;
    }
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
