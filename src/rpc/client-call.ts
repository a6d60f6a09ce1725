import type { ClientDuplexStream, ClientReadableStream, Metadata, ServiceError } from '@grpc/grpc-js';
import { FlotillaError } from '../base/index.js';
import { type Ending, iterate, type OnMessage, receiveAll } from './incoming.js';
import { offTheStack } from './off-the-stack.js';
import { Outgoing } from './outgoing.js';
import type { ReadAhead } from './read-ahead.js';
import { errorFromStatus } from './status.js';

/** A stream of responses, as the caller sees it. */
export class ClientReadable<Response> implements AsyncIterable<Response> {
  /**
   * Resolves when the call is over, with its failure or with nothing; never
   * rejects. Comes before responses that are still waiting to be taken.
   */
  readonly ended: Promise<FlotillaError | undefined>;
  protected readonly surface: ClientReadableStream<Response>;
  private readonly readAhead: ReadAhead;
  private failed: FlotillaError | undefined;
  private stopReceiving: ((error: Error) => void) | undefined;

  constructor(surface: ClientReadableStream<Response>, address: string, readAhead: ReadAhead, signal?: AbortSignal) {
    this.surface = surface;
    this.readAhead = readAhead;
    readAhead.hold(surface);
    const cancel = (): void => this.cancel();
    this.ended = new Promise((resolve) => {
      surface.on('error', (error: ServiceError) => {
        this.failed ??= errorFromStatus(error, { address });
      });
      // grpc-js tells the error first, then the status, and both only once.
      surface.on('status', () => {
        signal?.removeEventListener('abort', cancel);
        resolve(this.failed);
      });
    });
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted === true) cancel();
  }

  /** Runs when the server's headers arrive; `header` has their text values. */
  onHeaders(listener: (header: (key: string) => string | undefined) => void): void {
    this.surface.once('metadata', (headers: Metadata) =>
      listener((key) => {
        const value = headers.get(key)[0];
        return typeof value === 'string' ? value : undefined;
      }),
    );
  }

  /**
   * Calls `onMessage` for each response in turn, waiting for the promise that
   * it may return. Resolves when the server has ended the stream; rejects with
   * the call's failure, after the responses that came before it.
   */
  receive(onMessage: OnMessage<Response>): Promise<void> {
    return this.receiveAll((message) => {
      const pending = onMessage(message);
      if (pending === undefined) this.readAhead.taken();
      else return pending.then(() => this.readAhead.taken());
      return undefined;
    });
  }

  /** The same for `for await`; leaving the loop early cancels the call. Use it or `receive`, once. */
  [Symbol.asyncIterator](): AsyncIterator<Response> {
    return iterate<Response>(
      (onMessage) => this.receiveAll(onMessage),
      () => this.cancel(),
      () => this.readAhead.taken(),
    );
  }

  private receiveAll(onMessage: OnMessage<Response>): Promise<void> {
    const ending: Ending = {
      onBroken: (listener) => {
        this.stopReceiving = listener;
      },
      failure: () => this.failed,
    };
    return receiveAll(this.surface, ending, onMessage);
  }

  /** Ends the call; what was received and not yet taken is dropped. */
  cancel(): void {
    offTheStack(() => this.surface.cancel());
    this.stopReceiving?.(new FlotillaError('CANCELLED', 'the call was cancelled here'));
  }
}

/** A stream in both directions, as the caller sees it. */
export class ClientDuplex<Request, Response> extends ClientReadable<Response> {
  private readonly outgoing: Outgoing<Request>;
  private readonly duplex: ClientDuplexStream<Request, Response>;

  constructor(
    surface: ClientDuplexStream<Request, Response>,
    address: string,
    readAhead: ReadAhead,
    signal?: AbortSignal,
  ) {
    super(surface, address, readAhead, signal);
    this.duplex = surface;
    this.outgoing = new Outgoing<Request>(surface);
    surface.on('error', (error: ServiceError) => this.outgoing.break(errorFromStatus(error, { address })));
  }

  /**
   * Undefined where the next message may follow at once, else a promise of
   * that; rejects once the call has failed. `written` runs when the connection
   * has taken the message; not at all where the call fails before.
   */
  send(message: Request, written?: () => void): Promise<void> | undefined {
    return this.outgoing.send(message, written);
  }

  /** No further requests; responses go on. */
  end(): void {
    this.duplex.end();
  }
}
