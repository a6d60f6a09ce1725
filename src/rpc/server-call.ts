import { constants } from 'node:http2';
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServerUnaryCall,
  type StatusObject,
} from '@grpc/grpc-js';
import { FlotillaError } from '../base/index.js';
import type { Inbound } from './inbound.js';
import { CALLER_GONE, type InboundStream } from './inbound-stream.js';
import { iterate, type OnMessage, receiveAll } from './incoming.js';
import { Outgoing } from './outgoing.js';
import type { RequestDecoder } from './request-decoder.js';
import { ResponseSender, type UnsentResponses } from './response-sender.js';
import { statusFromError } from './status.js';

/** What a handler knows of the call it answers. */
export interface CallContext {
  /** A text value that the caller sent along. */
  metadata(key: string): string | undefined;
  /** Aborted when the caller went away, cancelled, or its deadline passed; not by a regular end. */
  readonly signal: AbortSignal;
  /** IP:PORT of the caller. */
  readonly peer: string;
  /** Everything that comes on this call was sent after this time, of `performance.now()`. */
  readonly sentAfterMs: number;
  /** Adds to the headers; before the first message. */
  setHeader(key: string, value: string): void;
  /** Sends the headers now instead of with the first message: the caller sees that it was let in. */
  sendHeaders(): void;
}

export interface ServerStream<Response> {
  /**
   * Undefined where the next message may follow at once, else a promise of
   * that, kept when the caller's flow control lets it through. Rejects with
   * CANCELLED when the caller is gone.
   */
  send(message: Response): Promise<void> | undefined;
}

export interface DuplexStream<Request, Response> extends ServerStream<Response>, AsyncIterable<Request> {
  /**
   * Calls `onMessage` for each request in turn, waiting for the promise that it
   * may return. Resolves when the caller has sent its last; rejects with
   * CANCELLED, with INVALID_ARGUMENT for bytes that are no message, or with
   * what `onMessage` threw. Faster than iterating; use one or the other.
   */
  receive(onMessage: OnMessage<Request>): Promise<void>;
}

/** What all kinds of calls of grpc-js have. */
interface ServerSurfaceCall
  extends Pick<ServerUnaryCall<unknown, unknown>, 'cancelled' | 'metadata' | 'getPath' | 'getPeer' | 'sendMetadata'> {
  once(event: 'cancelled', listener: () => void): unknown;
}

/** What ends a streaming call of grpc-js. */
interface ServerSink {
  end(): unknown;
  emit(event: 'error', status: Error | StatusObject): boolean;
}

export type UnaryHandler<Request, Response> = (request: Request, call: CallContext) => Promise<Response>;
export type ServerStreamHandler<Request, Response> = (
  request: Request,
  stream: ServerStream<Response>,
  call: CallContext,
) => Promise<void>;
export type DuplexHandler<Request, Response> = (
  stream: DuplexStream<Request, Response>,
  call: CallContext,
) => Promise<void>;

/** Hears of every failure that is none of our errors; `method` is its path. */
export type OnInternalError = (error: unknown, method: string) => void;

class Call implements CallContext {
  private readonly surface: ServerSurfaceCall;
  private readonly inbound: Inbound;
  private readonly onInternalError: OnInternalError;
  private readonly listeners: ((error: Error) => void)[] = [];
  private controller: AbortController | undefined;
  private headers: Metadata | undefined;
  /** `gone`: the caller is no longer there. `ended`: answered. */
  private state: 'open' | 'gone' | 'ended' = 'open';

  constructor(surface: ServerSurfaceCall, { inbound, onInternalError }: CallSupport) {
    this.surface = surface;
    this.inbound = inbound;
    this.onInternalError = onInternalError;
    // grpc-js also emits this after a regular end.
    surface.once('cancelled', () => this.leave());
    if (surface.cancelled) this.leave();
  }

  get peer(): string {
    return this.surface.getPeer();
  }

  get sentAfterMs(): number {
    return this.inbound.sentAfterMs(this.surface.metadata);
  }

  get signal(): AbortSignal {
    // Made only where a handler asks for it: most calls end before anyone would.
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.state === 'gone') this.controller.abort(callerGone());
    }
    return this.controller.signal;
  }

  metadata(key: string): string | undefined {
    const value = this.surface.metadata.get(key)[0];
    return typeof value === 'string' ? value : undefined;
  }

  setHeader(key: string, value: string): void {
    this.headers ??= new Metadata();
    this.headers.set(key, value);
  }

  sendHeaders(): void {
    this.surface.sendMetadata(this.headers ?? new Metadata());
    this.headers = undefined;
  }

  /** Headers that were set go out before the first message. */
  flushHeaders(): void {
    if (this.headers !== undefined) this.sendHeaders();
  }

  onGone(listener: (error: Error) => void): void {
    if (this.state === 'gone') listener(callerGone());
    else this.listeners.push(listener);
  }

  /** Runs a handler to its end. False where the caller has gone. */
  end(): boolean {
    if (this.state !== 'open') return false;
    this.state = 'ended';
    return true;
  }

  /** The status that `error` is answered with. */
  failure(error: unknown): StatusObject {
    if (!(error instanceof FlotillaError)) this.onInternalError(error, this.surface.getPath());
    return statusFromError(error);
  }

  private leave(): void {
    if (this.state !== 'open') return;
    this.state = 'gone';
    this.controller?.abort(callerGone());
    for (const listener of this.listeners.splice(0)) listener(callerGone());
  }
}

const callerGone = (): FlotillaError => new FlotillaError('CANCELLED', 'the caller went away');

/** What a server's calls share. */
export interface CallSupport {
  readonly inbound: Inbound;
  readonly decoder: RequestDecoder;
  readonly onInternalError: OnInternalError;
}

export function unaryCall(
  handler: UnaryHandler<unknown, unknown>,
  support: CallSupport,
): handleUnaryCall<Buffer, unknown> {
  return (surface, callback) => {
    const call = new Call(surface, support);
    withRequest(surface, support, (request) => handler(request, call)).then(
      (response) => {
        if (!call.end()) return;
        call.flushHeaders();
        callback(null, response);
      },
      (error: unknown) => {
        const status = call.failure(error);
        if (call.end()) callback(status);
      },
    );
  };
}

/** The request's bytes count as held until the handler has ended: what is made of them may consist of views. */
async function withRequest<Result>(
  { metadata }: { readonly metadata: Metadata },
  { inbound, decoder }: CallSupport,
  handler: (request: unknown) => Promise<Result>,
): Promise<Result> {
  const stream = inbound.streamOf(metadata);
  const message = stream?.take() ?? CALLER_GONE;
  try {
    if (message.refusal !== undefined) throw message.refusal;
    return await handler(await decoder.decode(message.bytes, message.compression));
  } finally {
    stream?.release(message);
  }
}

export function serverStreamCall(
  handler: ServerStreamHandler<unknown, unknown>,
  support: CallSupport,
  encoding: { readonly encode: (response: unknown) => Uint8Array; readonly unsent: UnsentResponses },
): handleServerStreamingCall<Buffer, unknown> {
  return (surface) => {
    const call = new Call(surface, support);
    const responses = new ResponseSender<unknown>({
      ...encoding,
      sink: surface,
      signal: () => call.signal,
      // A caller reads this code as RESOURCE_EXHAUSTED; grpc-js has no way to end a call whose answer can't leave.
      reset: () => support.inbound.streamOf(surface.metadata)?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM),
    });
    call.onGone((error) => responses.break(error));
    // Emitted after every end: a call that was answered may still have something that its connection has not taken.
    surface.once('cancelled', () => responses.release());
    const stream: ServerStream<unknown> = { send: sender(call, responses) };
    settle(call, surface, responses, () => withRequest(surface, support, (request) => handler(request, stream, call)));
  };
}

export function duplexCall(
  handler: DuplexHandler<unknown, unknown>,
  support: CallSupport,
): handleBidiStreamingCall<Buffer, unknown> {
  return (surface) => {
    const call = new Call(surface, support);
    const outgoing = new Outgoing<unknown>(surface);
    call.onGone((error) => outgoing.break(error));
    const ending = { onBroken: (listener: (error: Error) => void) => call.onGone(listener), failure: () => undefined };
    const inbound = support.inbound.streamOf(surface.metadata);
    const receive = (onMessage: OnMessage<unknown>): Promise<void> =>
      receiveAll<unknown>(surface, ending, () => receiveOne(inbound, support.decoder, onMessage));
    const stream: DuplexStream<unknown, unknown> = {
      send: sender(call, outgoing),
      receive,
      [Symbol.asyncIterator]: () => iterate(receive, () => surface.pause()),
    };
    settle(call, surface, outgoing, async () => await handler(stream, call));
  };
}

/**
 * One message of a stream: what is made of it at once keeps the caller's pace, and nothing overtakes one that takes
 * longer.
 */
function receiveOne(
  stream: InboundStream | undefined,
  decoder: RequestDecoder,
  onMessage: OnMessage<unknown>,
): ReturnType<OnMessage<unknown>> {
  const message = stream?.take() ?? CALLER_GONE;
  let request: unknown;
  try {
    if (message.refusal !== undefined) throw message.refusal;
    request = decoder.decode(message.bytes, message.compression);
  } catch (error) {
    stream?.release(message);
    throw error;
  }
  if (request instanceof Promise) return request.finally(() => stream?.release(message)).then(onMessage);
  stream?.release(message);
  return onMessage(request);
}

function sender(call: Call, outgoing: Pick<ServerStream<unknown>, 'send'>): ServerStream<unknown>['send'] {
  return (message) => {
    call.flushHeaders();
    return outgoing.send(message);
  };
}

/** Runs a streaming handler; its end is the stream's, its failure the stream's status. */
function settle(
  call: Call,
  surface: ServerSink,
  outgoing: { flushed(): Promise<void> },
  handler: () => Promise<void>,
): void {
  run(handler).then(
    () => {
      if (!call.end()) return;
      call.flushHeaders();
      surface.end();
    },
    async (error: unknown) => {
      const status = call.failure(error);
      // grpc-js drops what it has not yet written when it is given a failure: answers to what came before.
      await outgoing.flushed();
      // Our own news that the caller is gone comes back through handlers that pass it on.
      if (call.end()) surface.emit('error', status);
    },
  );
}

/** A handler that throws before its first `await` fails like any other. */
async function run<Result>(handler: () => Promise<Result>): Promise<Result> {
  return await handler();
}
