import { BoundedQueue, FlotillaError, LIMITS, type Work } from '../base/index.js';
import type { Clock } from '../group/index.js';
import type { Turns } from './ports.js';

/** Readers' work may take so long in each turn of the event loop … */
const TURN_MS = 10;
/** … and one reader's work, while other readers wait, so long of it. */
const SLICE_MS = 2;

/**
 * What all readers of a node do takes no more than a part of each turn of its event loop, however many they are and
 * whatever they ask for: what consensus and producers wait for comes in between. Code that works for a reader asks
 * {@link isDue} wherever it has worked for a moment; waiting readers go on in the order in which they came.
 */
export class ReadTurns implements Turns {
  private readonly clock: Pick<Clock, 'nowMs' | 'soon'>;
  private readonly waiting = new BoundedQueue<() => void>(LIMITS.waitingReaders);
  /** When the first reader worked in this turn of the event loop; undefined where none has yet. */
  private turnSinceMs: number | undefined;
  /** When the last one that had waited went on. */
  private sliceSinceMs = 0;

  constructor(clock: Pick<Clock, 'nowMs' | 'soon'>) {
    this.clock = clock;
  }

  get isDue(): boolean {
    const nowMs = this.clock.nowMs();
    const sinceMs = this.turnSinceMs ?? this.begin(nowMs);
    return nowMs - sinceMs >= TURN_MS || (this.waiting.length > 0 && nowMs - this.sliceSinceMs >= SLICE_MS);
  }

  next(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.waiting.push(resolve)) this.clock.soon(() => this.admit());
      else
        reject(
          new FlotillaError('TOO_MANY_REQUESTS', 'too many reads wait for this node: use another one, or try again'),
        );
    });
  }

  private begin(nowMs: number): number {
    this.turnSinceMs = nowMs;
    // Runs before those that admit, of the next turn.
    this.clock.soon(() => {
      this.turnSinceMs = undefined;
    });
    return nowMs;
  }

  /** One of these runs for each that waits, with all that the one it admits does before it waits again. */
  private admit(): void {
    const nowMs = this.clock.nowMs();
    const sinceMs = this.turnSinceMs ?? this.begin(nowMs);
    if (nowMs - sinceMs >= TURN_MS) {
      this.clock.soon(() => this.admit());
      return;
    }
    this.sliceSinceMs = nowMs;
    this.waiting.shift()?.();
  }
}

/** Does it to its end: at once where there is time for all of it, else in as many turns as that takes. */
export function inTurns<Result>(turns: Turns, work: Work<Result>): Result | Promise<Result> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (turns.isDue) return goOn(turns, work);
  }
}

async function goOn<Result>(turns: Turns, work: Work<Result>): Promise<Result> {
  for (;;) {
    if (turns.isDue) await turns.next();
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
