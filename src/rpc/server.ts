import { Server, ServerCredentials, type UntypedHandleCall } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { assert, present } from '../base/index.js';
import { type KeepaliveOptions, serverOptions } from './connections.js';
import { Listener } from './listener.js';
import { addReflection } from './reflection.js';
import { UnsentResponses } from './response-sender.js';
import {
  type DuplexHandler,
  duplexCall,
  type OnInternalError,
  type ServerStreamHandler,
  serverStreamCall,
  type UnaryHandler,
  unaryCall,
} from './server-call.js';
import { raiseConnectionWindows, raiseServerWindows } from './server-windows.js';
import { type RequestOf, type ResponseOf, type RpcMethod, type RpcService, serialise, toServiceDefinition } from './service.js';

export interface RpcServerOptions extends KeepaliveOptions {
  /**
   * The largest message that is taken in, in bytes; larger ones are refused with
   * RESOURCE_EXHAUSTED. All nodes of a cluster must have the same, for what one
   * takes in must reach the others. Default: MESSAGE_BYTES_MAX.
   */
  readonly maxMessageBytes?: number;
  /** Hears of every failure of a handler that is none of our errors. A broken invariant (AssertionFailure) is among them: end the process. */
  readonly onInternalError: OnInternalError;
}

type HandlerOf<Service extends RpcService, Name extends keyof Service['methods']> = Service['methods'][Name] extends {
  readonly responseStream: false;
}
  ? UnaryHandler<RequestOf<Service, Name>, ResponseOf<Service, Name>>
  : Service['methods'][Name] extends { readonly requestStream: true }
    ? DuplexHandler<RequestOf<Service, Name>, ResponseOf<Service, Name>>
    : ServerStreamHandler<RequestOf<Service, Name>, ResponseOf<Service, Name>>;

/** One handler per method of a service. */
export type Handlers<Service extends RpcService> = { readonly [Name in keyof Service['methods']]: HandlerOf<Service, Name> };

/** A gRPC server: services of ours, reflection and the standard health service on one port. */
export class RpcServer {
  private readonly server: Server;
  private readonly health = new HealthImplementation({ '': 'NOT_SERVING' });
  private readonly options: RpcServerOptions;
  private readonly services: string[] = [];
  private readonly unsent = new UnsentResponses();
  private listener: Listener | undefined;

  constructor(options: RpcServerOptions) {
    this.options = options;
    this.server = new Server(serverOptions(options));
    raiseServerWindows(this.server);
    this.health.addToServer(this.server);
    addReflection(this.server);
  }

  /**
   * Adds a service. A handler's FlotillaError becomes its status, with the
   * trailers `flotilla-code` and `flotilla-leader`; anything else it throws
   * becomes INTERNAL without details, and is told to `onInternalError`.
   */
  add<Service extends RpcService>(service: Service, handlers: Handlers<Service>): void {
    const { onInternalError } = this.options;
    const implementation: Record<string, UntypedHandleCall> = {};
    for (const [key, method] of Object.entries(service.methods)) {
      implementation[key] = wrap(method, handlers[key], onInternalError, this.unsent);
    }
    this.server.addService(toServiceDefinition(service, onInternalError), implementation);
    this.services.push(service.fullName);
    this.health.setStatus(service.fullName, 'NOT_SERVING');
  }

  /** Starts to listen; `port` 0 lets the system choose. Returns the port. Throws INVALID_ARGUMENT with what to do where that fails. */
  async listen(host: string, port: number): Promise<number> {
    assert(this.listener === undefined, 'a server listens once');
    const injector = this.server.createConnectionInjector(ServerCredentials.createInsecure());
    raiseConnectionWindows(this.server);
    this.listener = new Listener((socket) => injector.injectConnection(socket));
    return await this.listener.listen(host, port);
  }

  /** What the standard health service answers, for the whole server and each service. */
  setServing(serving: boolean): void {
    for (const service of ['', ...this.services]) this.health.setStatus(service, serving ? 'SERVING' : 'NOT_SERVING');
  }

  /** No further connections; those that stand, and their calls, go on. */
  stopAccepting(): void {
    this.listener?.stop();
  }

  /** Tells every caller to go elsewhere, waits up to `graceMs` for calls to end, then cuts off what is left. */
  async close(graceMs: number): Promise<void> {
    this.setServing(false);
    this.stopAccepting();
    // When it calls back says nothing: from Node.js 24 on it is at once, with calls under way.
    this.server.tryShutdown(() => undefined);
    await this.listener?.connectionsEnded(graceMs);
    this.server.forceShutdown();
    this.listener?.destroyConnections();
  }
}

type ErasedHandler = UnaryHandler<unknown, unknown> & ServerStreamHandler<unknown, unknown> & DuplexHandler<unknown, unknown>;

function wrap(method: RpcMethod, handler: unknown, onInternalError: OnInternalError, unsent: UnsentResponses): UntypedHandleCall {
  assert(typeof handler === 'function', `${method.name} has no handler`);
  assert(method.responseStream || !method.requestStream, `${method.name} streams only requests: no service of ours does`);
  // `Handlers` has checked that this function suits its method's kind; the three branches below are those kinds.
  const erased = present(handler, method.name) as ErasedHandler;
  if (!method.responseStream) return unaryCall(erased, onInternalError);
  if (method.requestStream) return duplexCall(erased, onInternalError);
  return serverStreamCall(erased, onInternalError, { encode: (response) => serialise(method.responseType, response), unsent });
}
