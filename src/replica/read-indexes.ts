import { FlotillaError, LIMITS, type LogIndex } from '../base/index.js';
import type { Clock, Timer } from './ports.js';

/** How long to wait for one answer before asking again: the request or its answer may be lost. */
const ASK_AGAIN_MS = 200;

interface Waiter {
  readonly resolve: (index: LogIndex) => void;
  readonly reject: (error: FlotillaError) => void;
  readonly untilMs: number;
}

/**
 * Reads that want to be certain. All that arrive while a question to the leader
 * is open share the next one: an answer covers only what was asked before it.
 */
export class ReadIndexes {
  private readonly clock: Clock;
  /** Puts the question; false where there is no leader to ask. */
  private readonly ask: (requestId: number) => boolean;
  private requestId = 0;
  private asked: Waiter[] = [];
  private next: Waiter[] = [];
  private timer: Timer | undefined;

  constructor(clock: Clock, ask: (requestId: number) => boolean) {
    this.clock = clock;
    this.ask = ask;
  }

  /** An index such that a read up to it sees everything acknowledged before this call. Rejects with NO_LEADER when none can be had in time. */
  confirm(): Promise<LogIndex> {
    return new Promise((resolve, reject) => {
      if (this.next.length >= LIMITS.pendingReadIndexes) {
        reject(new FlotillaError('TOO_MANY_REQUESTS', 'too many reads wait for confirmation; try again'));
        return;
      }
      this.next.push({ resolve, reject, untilMs: this.clock.nowMs() + LIMITS.readIndexTimeoutMs });
      if (this.asked.length === 0) this.askNext();
    });
  }

  /** The answer to a question; 0 where it could not be confirmed. */
  settled(requestId: number, index: LogIndex): void {
    if (requestId !== this.requestId || this.asked.length === 0 || index === 0) return;
    const answered = this.asked;
    this.asked = [];
    this.timer?.cancel();
    for (const { resolve } of answered) resolve(index);
    this.askNext();
  }

  stop(): void {
    this.timer?.cancel();
    for (const { reject } of [...this.asked, ...this.next]) reject(new FlotillaError('SHUTTING_DOWN', 'the node is stopping'));
    this.asked = [];
    this.next = [];
  }

  private askNext(): void {
    if (this.next.length === 0) return;
    this.asked = this.next;
    this.next = [];
    this.askOnce();
  }

  private askOnce(): void {
    this.requestId++;
    this.timer = this.clock.after(ASK_AGAIN_MS, () => this.askAgain());
    this.ask(this.requestId);
  }

  private askAgain(): void {
    const nowMs = this.clock.nowMs();
    const late = this.asked.filter(({ untilMs }) => untilMs <= nowMs);
    this.asked = this.asked.filter(({ untilMs }) => untilMs > nowMs);
    for (const { reject } of late) {
      reject(
        new FlotillaError(
          'NO_LEADER',
          'no majority could confirm the read in time; ask again, or read what this node knows (consistency LOCAL)',
        ),
      );
    }
    if (this.asked.length > 0) this.askOnce();
    else this.askNext();
  }
}
