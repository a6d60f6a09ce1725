import { BoundedQueue, FlotillaError, LIMITS } from '../base/index.js';

/** What waiting for an {@link Allowance} is measured with. */
export interface AllowanceClock {
  after(delayMs: number, run: () => void): { cancel(): void };
}

interface Waiter {
  readonly amount: number;
  readonly resolve: () => void;
  readonly reject: (error: FlotillaError) => void;
  isOver: boolean;
  stop(): void;
}

/**
 * What many share, such as memory: each takes what it needs, and gives it back.
 * Where there is too little left, callers are served in the order in which they
 * came; one that waits too long is refused.
 */
export class Allowance {
  private readonly clock: AllowanceClock;
  private readonly refusal: string;
  private readonly waiting = new BoundedQueue<Waiter>(LIMITS.waitingReaders);
  private left: number;

  /** `refusal`: what those are told that waited in vain. */
  constructor(options: { clock: AllowanceClock; amount: number; refusal: string }) {
    this.clock = options.clock;
    this.left = options.amount;
    this.refusal = options.refusal;
  }

  /**
   * Undefined where it was there at once. Rejects with TOO_MANY_REQUESTS, and with CANCELLED when `signal` is aborted
   * first.
   */
  take(amount: number, signal?: AbortSignal): Promise<void> | undefined {
    this.skipThoseThatLeft();
    if (this.waiting.length === 0 && this.left > 0) {
      this.left -= amount;
      return undefined;
    }
    return new Promise((resolve, reject) =>
      this.wait({ amount, resolve, reject, isOver: false, stop: () => undefined }, signal),
    );
  }

  give(amount: number): void {
    this.left += amount;
    this.serve();
  }

  /** Whether there is something left. */
  get isOpen(): boolean {
    return this.left > 0;
  }

  /** It turned out to be so much more, which could not be known before: the next caller waits for it. */
  takeMore(amount: number): void {
    this.left -= amount;
  }

  private wait(waiter: Waiter, signal: AbortSignal | undefined): void {
    const refuse = (error: FlotillaError): void => {
      if (waiter.isOver) return;
      waiter.isOver = true;
      waiter.stop();
      waiter.reject(error);
    };
    const tooMany = (): void => refuse(new FlotillaError('TOO_MANY_REQUESTS', this.refusal));
    if (signal?.aborted === true) refuse(callerGone());
    else if (!this.waiting.push(waiter)) tooMany();
    if (waiter.isOver) return;
    const onAbort = (): void => refuse(callerGone());
    signal?.addEventListener('abort', onAbort, { once: true });
    const timer = this.clock.after(LIMITS.readWaitMs, tooMany);
    waiter.stop = () => {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
    };
  }

  private serve(): void {
    for (let next = this.skipThoseThatLeft(); next !== undefined && this.left > 0; next = this.skipThoseThatLeft()) {
      this.waiting.shift();
      this.left -= next.amount;
      next.isOver = true;
      next.stop();
      next.resolve();
    }
  }

  /** The first that still waits. */
  private skipThoseThatLeft(): Waiter | undefined {
    while (this.waiting.peek()?.isOver === true) this.waiting.shift();
    return this.waiting.peek();
  }
}

function callerGone(): FlotillaError {
  return new FlotillaError('CANCELLED', 'the caller went away');
}
