import { Client, connectivityState, credentials, type CallOptions as GrpcCallOptions, Metadata } from '@grpc/grpc-js';
import { FlotillaError, LIMITS, present } from '../base/index.js';
import { decodeMessage } from '../wire/index.js';
import { ClientDuplex, ClientReadable } from './client-call.js';
import { clientOptions, type KeepaliveOptions } from './connections.js';
import { Dialling } from './dialling.js';
import { offTheStack } from './off-the-stack.js';
import { ReadAhead } from './read-ahead.js';
import {
  type MethodNames,
  methodPath,
  type RequestOf,
  type ResponseOf,
  type RpcMethod,
  type RpcService,
  serialise,
} from './service.js';
import { errorFromStatus } from './status.js';

export type RpcClientOptions = KeepaliveOptions;

export interface CallOptions {
  /** Counted from now; a call without it waits as long as its connection lasts. */
  readonly timeoutMs?: number | undefined;
  /** Cancels the call. */
  readonly signal?: AbortSignal | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** How a client's connection stands. `failing`: the last attempt failed, and the next one waits its turn. */
export type ConnectionState = 'idle' | 'connecting' | 'ready' | 'failing' | 'closed';

/**
 * Calls one service at one address over a connection of its own, which is
 * dialled with the first call and again after it is lost. Failures are
 * FlotillaErrors: UNREACHABLE where nothing was sent, OUTCOME_UNKNOWN where the
 * connection was lost before an answer came. A call is never sent twice.
 */
export class RpcClient<Service extends RpcService> {
  readonly address: string;
  private readonly service: Service;
  private readonly client: Client;
  private readonly dialling = new Dialling();
  /** Calls that have not ended. */
  private calls = 0;
  private closed = false;

  /** `address` is HOST:PORT. */
  constructor(service: Service, address: string, options: RpcClientOptions = {}) {
    this.service = service;
    this.address = address;
    const channel = this.dialling.channelTo(address);
    this.client = new Client(channel.target, credentials.createInsecure(), {
      ...clientOptions(options),
      ...channel.options,
    });
  }

  async unary<Name extends MethodNames<Service, false, false>>(
    name: Name,
    request: RequestOf<Service, Name>,
    options: CallOptions = {},
  ): Promise<ResponseOf<Service, Name>> {
    const { path, encode, decode } = this.codec<RequestOf<Service, Name>, ResponseOf<Service, Name>>(name);
    const { signal } = options;
    this.calls++;
    return await new Promise((resolve, reject) => {
      const surface = this.client.makeUnaryRequest(
        path,
        encode,
        decode,
        request,
        toMetadata(options),
        toGrpc(options),
        (error, response) => {
          signal?.removeEventListener('abort', cancel);
          this.callEnded();
          if (error !== null) reject(errorFromStatus(error, { address: this.address }));
          else resolve(present(response, 'a call without an error has a response'));
        },
      );
      const cancel = (): void => offTheStack(() => surface.cancel());
      signal?.addEventListener('abort', cancel, { once: true });
      if (signal?.aborted === true) cancel();
    });
  }

  serverStream<Name extends MethodNames<Service, false, true>>(
    name: Name,
    request: RequestOf<Service, Name>,
    options: CallOptions = {},
  ): ClientReadable<ResponseOf<Service, Name>> {
    const { path, encode, decode } = this.codec<RequestOf<Service, Name>, ResponseOf<Service, Name>>(name);
    const ahead = new ReadAhead();
    const metered = meter(decode, ahead);
    const surface = this.client.makeServerStreamRequest(
      path,
      encode,
      metered,
      request,
      toMetadata(options),
      toGrpc(options),
    );
    return this.counted(new ClientReadable(surface, this.address, ahead, options.signal));
  }

  duplex<Name extends MethodNames<Service, true, true>>(
    name: Name,
    options: CallOptions = {},
  ): ClientDuplex<RequestOf<Service, Name>, ResponseOf<Service, Name>> {
    const { path, encode, decode } = this.codec<RequestOf<Service, Name>, ResponseOf<Service, Name>>(name);
    const ahead = new ReadAhead();
    const surface = this.client.makeBidiStreamRequest(
      path,
      encode,
      meter(decode, ahead),
      toMetadata(options),
      toGrpc(options),
    );
    return this.counted(new ClientDuplex(surface, this.address, ahead, options.signal));
  }

  get state(): ConnectionState {
    return this.closed ? 'closed' : STATES[this.client.getChannel().getConnectivityState(false)];
  }

  /**
   * Dials, and again after failures, until the connection stands. Rejects with UNREACHABLE after `timeoutMs`, and when
   * this is closed.
   */
  async waitForReady(timeoutMs: number): Promise<void> {
    this.assertOpen();
    const channel = this.client.getChannel();
    const deadline = Date.now() + timeoutMs;
    await new Promise<void>((resolve, reject) => {
      // The channel's own way to wait asks a closed one to connect, which revives it.
      const look = (late?: Error): void => {
        if (this.closed) {
          reject(this.closedError());
        } else if (late !== undefined) {
          reject(
            new FlotillaError('UNREACHABLE', `${this.address} can't be reached within ${timeoutMs} ms`, {
              cause: late,
            }),
          );
        } else {
          const state = channel.getConnectivityState(true);
          if (state === connectivityState.READY) resolve();
          else channel.watchConnectivityState(state, deadline, look);
        }
      };
      look();
    });
  }

  /**
   * Calls that are under way end by themselves; new ones are refused. With the
   * last of them everything goes that this client holds, whether its peer
   * answers or not.
   */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.dialling.stop();
    offTheStack(() => this.client.close());
    this.releaseWhenIdle();
  }

  private counted<Call extends { readonly ended: Promise<unknown> }>(call: Call): Call {
    this.calls++;
    void call.ended.then(() => this.callEnded());
    return call;
  }

  private callEnded(): void {
    this.calls--;
    this.releaseWhenIdle();
  }

  /** A peer that answers is told first, and closes its side; one that does not is waited for no longer. */
  private releaseWhenIdle(): void {
    if (this.closed && this.calls === 0)
      setTimeout(() => this.dialling.destroySockets(), LIMITS.connectionFarewellMs).unref();
  }

  private codec<Request, Response>(
    name: keyof Service['methods'] & string,
  ): { path: string; encode(message: Request): Buffer; decode(bytes: Uint8Array): Response } {
    this.assertOpen();
    const method: RpcMethod = present(this.service.methods[name], name);
    return {
      path: methodPath(this.service, method),
      encode: (message) => serialise(method.requestType, message),
      // The method's own type made it: `Response` is that type's message.
      decode: (bytes) => decodeMessage(method.responseType, bytes) as Response,
    };
  }

  private assertOpen(): void {
    if (this.closed) throw this.closedError();
  }

  private closedError(): FlotillaError {
    return new FlotillaError('UNREACHABLE', `the connection to ${this.address} has been closed`);
  }
}

const STATES: Readonly<Record<connectivityState, ConnectionState>> = {
  [connectivityState.IDLE]: 'idle',
  [connectivityState.CONNECTING]: 'connecting',
  [connectivityState.READY]: 'ready',
  [connectivityState.TRANSIENT_FAILURE]: 'failing',
  [connectivityState.SHUTDOWN]: 'closed',
};

function meter<Response>(decode: (bytes: Buffer) => Response, ahead: ReadAhead): (bytes: Buffer) => Response {
  return (bytes) => {
    ahead.arrived(bytes.byteLength);
    return decode(bytes);
  };
}

function toMetadata(options: CallOptions): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value);
  return metadata;
}

function toGrpc(options: CallOptions): GrpcCallOptions {
  return options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs };
}
