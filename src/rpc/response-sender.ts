import { FlotillaError, LIMITS } from '../base/index.js';
import { Allowance } from './allowance.js';

/** The part of a grpc-js stream that sends. */
interface ResponseSink {
  write(message: unknown, written: () => void): unknown;
}

const clock = {
  after: (delayMs: number, run: () => void) => {
    const timeout = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timeout) };
  },
};

/**
 * What all calls of a server have encoded and their connections have not yet
 * taken. Each call may have a fair part of the whole.
 */
export class UnsentResponses {
  readonly capacity = new Allowance({
    clock,
    amount: LIMITS.unsentBytes,
    refusal:
      'this node holds as much for readers as it may, and they do not take it: use another node, or try again; ' +
      'a slow reader should ask for less at a time',
  });
  /** Calls that have something unsent: that of which something was taken last comes last. */
  private readonly senders = new Map<Stallable, number>();

  /** Calls that have something unsent. */
  get holders(): number {
    return this.senders.size;
  }

  /** What one call may have unsent before it waits. */
  get bytesPerCall(): number {
    return Math.min(LIMITS.unsentBytesPerStream, LIMITS.unsentBytes / Math.max(1, this.senders.size));
  }

  /** A call has something unsent; its connection took something just now, or had nothing to take. */
  moved(sender: Stallable): void {
    this.senders.delete(sender);
    this.senders.set(sender, performance.now());
  }

  emptied(sender: Stallable): void {
    this.senders.delete(sender);
  }

  /**
   * As long as `waiting` is pending, calls of which nothing is taken any more are ended: else a few could keep out all
   * others for ever.
   */
  async endStalledDuring(waiting: Promise<void>): Promise<void> {
    const timer = setInterval(() => this.endStalled(), LIMITS.unsentStallMs / 5);
    try {
      await waiting;
    } finally {
      clearInterval(timer);
    }
  }

  private endStalled(): void {
    for (const [sender, movedMs] of this.senders) {
      if (this.capacity.isOpen || performance.now() - movedMs < LIMITS.unsentStallMs) return;
      sender.endStalled();
    }
  }
}

interface Stallable {
  endStalled(): void;
}

/**
 * Sends the responses of one call under flow control. grpc-js and Node.js queue
 * without bound what they are given, and the first of them counts messages
 * where bytes matter: so each response is encoded here, and none is handed over
 * while too much of what was has not been taken.
 */
export class ResponseSender<Message> implements Stallable {
  private readonly sink: ResponseSink;
  private readonly encode: (message: Message) => Uint8Array;
  private readonly unsent: UnsentResponses;
  private readonly signal: () => AbortSignal;
  private readonly reset: () => void;
  private messages = 0;
  private bytes = 0;
  private state: 'open' | 'released' = 'open';
  private onTaken: (() => void) | undefined;
  private onFlushed: (() => void) | undefined;
  private onBroken: ((error: Error) => void) | undefined;
  private broken: Error | undefined;

  /** `signal` is aborted when the caller goes away; `reset` ends the call with what was handed over and not taken. */
  constructor(options: {
    sink: ResponseSink;
    encode: (message: Message) => Uint8Array;
    unsent: UnsentResponses;
    signal: () => AbortSignal;
    reset: () => void;
  }) {
    this.sink = options.sink;
    this.encode = options.encode;
    this.unsent = options.unsent;
    this.signal = options.signal;
    this.reset = options.reset;
  }

  /**
   * Undefined where the next response may follow at once, else a promise of that; one at a time. Rejects once the call
   * is broken.
   */
  send(message: Message): Promise<void> | undefined {
    if (this.broken !== undefined) return observed(Promise.reject(this.broken));
    const { capacity } = this.unsent;
    const waiting = capacity.take(0, capacity.isOpen ? undefined : this.signal());
    if (waiting === undefined) return this.write(message);
    return observed(
      this.unsent
        .endStalledDuring(waiting)
        .then(() => (this.broken === undefined ? this.write(message) : Promise.reject(this.broken))),
    );
  }

  /** Resolves when the connection has taken all that was sent, or the call is broken. */
  async flushed(): Promise<void> {
    while (this.messages > 0 && this.broken === undefined) {
      await new Promise<void>((resolve) => {
        this.onFlushed = resolve;
      });
    }
  }

  /** From now on nothing can be sent; a sender that waits hears why. */
  break(error: Error): void {
    this.broken ??= error;
    this.onBroken?.(this.broken);
    this.release();
  }

  endStalled(): void {
    this.reset();
    this.break(
      new FlotillaError(
        'TOO_MANY_REQUESTS',
        'nothing of this call was taken for long while other calls waited for the memory that it held: ' +
          'read on behind the last event, and faster, or from another node',
      ),
    );
  }

  /** The connection will take no more of it: it is gone, or the call is over. */
  release(): void {
    if (this.state === 'released') return;
    this.state = 'released';
    this.unsent.emptied(this);
    this.unsent.capacity.give(this.bytes);
    this.messages = 0;
    this.bytes = 0;
    this.onFlushed?.();
  }

  private write(message: Message): Promise<void> | undefined {
    const encoded = this.encode(message);
    const { byteLength } = encoded;
    if (this.messages++ === 0) this.unsent.moved(this);
    this.bytes += byteLength;
    this.unsent.capacity.takeMore(byteLength);
    this.sink.write(encoded, () => this.taken(byteLength));
    if (this.mayGoOn) return undefined;
    return observed(
      new Promise((resolve, reject) => {
        this.onTaken = resolve;
        this.onBroken = reject;
      }),
    );
  }

  private get mayGoOn(): boolean {
    return this.messages < LIMITS.unsentMessagesPerStream && this.bytes < this.unsent.bytesPerCall;
  }

  private taken(bytes: number): void {
    if (this.state === 'released') return;
    this.messages--;
    this.bytes -= bytes;
    if (this.messages === 0) this.unsent.emptied(this);
    else this.unsent.moved(this);
    this.unsent.capacity.give(bytes);
    if (this.mayGoOn || this.messages === 0) this.onTaken?.();
    if (this.messages === 0) this.onFlushed?.();
  }
}

/** A sender that does not wait learns of the break in another way: a promise it drops must not end the process. */
function observed(promise: Promise<void>): Promise<void> {
  promise.catch(() => undefined);
  return promise;
}
