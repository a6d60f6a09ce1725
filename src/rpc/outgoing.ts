import { LIMITS } from '../base/index.js';

/** The part of a grpc-js stream that sends. */
interface MessageSink {
  write(message: unknown, written: (error?: Error | null) => void): unknown;
}

/**
 * Sends messages under flow control. Without it grpc-js queues without bound:
 * what counts here is what the other side's windows have not yet taken.
 */
export class Outgoing<Message> {
  private readonly sink: MessageSink;
  private unsent = 0;
  private waiting: Waiting | undefined;
  private broken: Error | undefined;
  private onTaken: (() => void) | undefined;

  constructor(sink: MessageSink) {
    this.sink = sink;
  }

  /** Undefined where the next message may follow at once, else a promise of that. Rejects once the stream is broken. */
  send(message: Message, written?: () => void): Promise<void> | undefined {
    if (this.broken !== undefined) return rejected(this.broken);
    this.unsent++;
    this.sink.write(message, written === undefined ? this.onWritten : () => this.onWritten(written));
    if (this.unsent < LIMITS.unsentMessagesPerStream) return undefined;
    this.waiting ??= new Waiting();
    return this.waiting.promise;
  }

  /** Resolves when the connection has taken all that was sent, or the stream is broken. */
  async flushed(): Promise<void> {
    while (this.unsent > 0 && this.broken === undefined) {
      await new Promise<void>((resolve) => {
        this.onTaken = resolve;
      });
    }
  }

  /** From now on nothing can be sent; a sender that waits hears why. */
  break(error: Error): void {
    this.broken ??= error;
    this.waiting?.reject(this.broken);
    this.waiting = undefined;
    this.onTaken?.();
  }

  private readonly onWritten = (written?: unknown): void => {
    this.unsent--;
    this.onTaken?.();
    if (typeof written === 'function') written();
    if (this.waiting === undefined || this.unsent >= LIMITS.unsentMessagesPerStream) return;
    this.waiting.resolve();
    this.waiting = undefined;
  };
}

/** Senders that wait for the connection, all with one promise. */
class Waiting {
  readonly promise: Promise<void>;
  private settle: { resolve(): void; reject(error: Error): void } | undefined;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    observe(this.promise);
  }

  resolve(): void {
    this.settle?.resolve();
  }

  reject(error: Error): void {
    this.settle?.reject(error);
  }
}

function rejected(error: Error): Promise<void> {
  const promise = Promise.reject(error);
  observe(promise);
  return promise;
}

/** A sender that does not wait learns of the break in another way: a promise it drops must not end the process. */
function observe(promise: Promise<void>): void {
  promise.catch(() => undefined);
}
