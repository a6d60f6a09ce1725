import { FlotillaError, LIMITS, type LogIndex } from '../base/index.js';
import type { RaftCore } from '../raft/index.js';
import type { Inbox } from './inbox.js';
import type { Clock, Timer } from './ports.js';

/** How long to wait for one answer before asking again: the request or its answer may be lost. */
const ASK_AGAIN_MS = 200;

interface ReadIndexParts {
  readonly clock: Clock;
  readonly core: Pick<RaftCore, 'readIndex'>;
  readonly inbox: Pick<Inbox, 'post'>;
}

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
  private readonly parts: ReadIndexParts;
  /** Number of the last asking. */
  private requestId: number;
  /** Number of the first asking of the question that is open. */
  private firstRequestId: number;
  private asked: Waiter[] = [];
  private next: Waiter[] = [];
  private timer: Timer | undefined;
  private stopped = false;

  /**
   * `firstRequestId` differs from one process of this node to the next: a leader may still hold a question of the last
   * one, and the answer to that knows less than this one's question demands.
   */
  constructor(parts: ReadIndexParts, firstRequestId: number) {
    this.parts = parts;
    this.requestId = firstRequestId;
    this.firstRequestId = firstRequestId;
  }

  /**
   * An index such that a read up to it sees everything acknowledged before this call. Rejects with NO_LEADER when none
   * can be had in time.
   */
  confirm(): Promise<LogIndex> {
    return new Promise((resolve, reject) => {
      if (this.stopped) return reject(stopping());
      if (this.next.length >= LIMITS.pendingReadIndexes) {
        return reject(new FlotillaError('TOO_MANY_REQUESTS', 'too many reads wait for confirmation; try again'));
      }
      this.next.push({ resolve, reject, untilMs: this.parts.clock.nowMs() + LIMITS.readIndexTimeoutMs });
      if (this.asked.length === 0) this.askNext();
    });
  }

  /**
   * The answer to a question; 0 where it could not be confirmed. One to an earlier asking of the same question serves
   * as well.
   */
  settled(requestId: number, index: LogIndex): void {
    const isOpen = requestId >= this.firstRequestId && requestId <= this.requestId;
    if (!isOpen || this.asked.length === 0 || index === 0) return;
    const answered = this.asked;
    this.asked = [];
    this.timer?.cancel();
    for (const { resolve } of answered) resolve(index);
    this.askNext();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    for (const { reject } of [...this.asked, ...this.next]) reject(stopping());
    this.asked = [];
    this.next = [];
  }

  private askNext(): void {
    if (this.next.length === 0) return;
    this.asked = this.next;
    this.next = [];
    this.firstRequestId = this.requestId + 1;
    this.askOnce();
  }

  private askOnce(): void {
    const { clock, core, inbox } = this.parts;
    const requestId = ++this.requestId;
    this.timer = clock.after(ASK_AGAIN_MS, () => this.askAgain());
    // Where there is no leader to ask, it is asked again.
    inbox.post(() => core.readIndex(requestId, clock.nowMs()));
  }

  private askAgain(): void {
    const nowMs = this.parts.clock.nowMs();
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

function stopping(): FlotillaError {
  return new FlotillaError('SHUTTING_DOWN', 'the node is stopping');
}
