import { Server, ServerCredentials, type UntypedHandleCall } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { assert, LIMITS, present } from '../base/index.js';
import { requestSchemas } from '../wire/index.js';
import { type KeepaliveOptions, MESSAGE_BYTES_MAX, serverOptions } from './connections.js';
import { Inbound } from './inbound.js';
import { Listener } from './listener.js';
import { addReflection, readDescriptorSet } from './reflection.js';
import { type LargeRequests, RequestDecoder } from './request-decoder.js';
import { UnsentResponses } from './response-sender.js';
import {
  type CallSupport,
  type DuplexHandler,
  duplexCall,
  type OnInternalError,
  type ServerStreamHandler,
  serverStreamCall,
  type UnaryHandler,
  unaryCall,
} from './server-call.js';
import { http2ServersOf, raiseConnectionWindows, raiseServerWindows } from './server-windows.js';
import {
  methodPath,
  type RequestOf,
  type ResponseOf,
  type RpcMethod,
  type RpcService,
  serialise,
  toServiceDefinition,
} from './service.js';

export interface RpcServerOptions extends KeepaliveOptions {
  /**
   * The largest message that is taken in, in bytes; larger ones are refused with RESOURCE_EXHAUSTED. All nodes of a
   * cluster must have the same, for what one takes in must reach the other nodes. Default: MESSAGE_BYTES_MAX.
   */
  readonly maxMessageBytes?: number;
  /** Decodes the requests that may take long. */
  readonly largeRequests?: LargeRequests;
  /**
   * Hears of every failure of a handler that is none of our errors. A broken invariant (AssertionFailure) is among
   * them: end the process.
   */
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
export type Handlers<Service extends RpcService> = {
  readonly [Name in keyof Service['methods']]: HandlerOf<Service, Name>;
};

/** A gRPC server: services of ours, reflection and the standard health service on one port. */
export class RpcServer {
  private readonly server: Server;
  private readonly health = new HealthImplementation({ '': 'NOT_SERVING' });
  private readonly options: RpcServerOptions;
  private readonly services: string[] = [];
  private readonly unsent = new UnsentResponses();
  private readonly inbound = new Inbound();
  private readonly schemas: ReturnType<typeof requestSchemas>;
  private listener: Listener | undefined;

  constructor(options: RpcServerOptions) {
    this.options = options;
    this.server = new Server(serverOptions(options));
    raiseServerWindows(this.server);
    this.health.addToServer(this.server);
    const descriptorSet = readDescriptorSet();
    this.schemas = requestSchemas(descriptorSet);
    addReflection(this.server, descriptorSet);
    const standard = { standard: true, messageBytesMax: LIMITS.standardRequestBytes };
    for (const [path, requestStream] of STANDARD_METHODS) this.inbound.add(path, { requestStream, ...standard });
  }

  /**
   * Adds a service. A handler's FlotillaError becomes its status, with the
   * trailers `flotilla-code` and `flotilla-leader`; anything else it throws
   * becomes INTERNAL without details, and is told to `onInternalError`.
   */
  add<Service extends RpcService>(service: Service, handlers: Handlers<Service>): void {
    const { onInternalError, largeRequests, maxMessageBytes: messageBytesMax = MESSAGE_BYTES_MAX } = this.options;
    const implementation: Record<string, UntypedHandleCall> = {};
    for (const [key, method] of Object.entries(service.methods)) {
      const path = methodPath(service, method);
      const schema = present(this.schemas.get(path), `${path} is not in the compiled protocol; npm run generate`);
      const decoder = new RequestDecoder(path, method, schema, largeRequests);
      implementation[key] = wrap(
        method,
        handlers[key],
        { inbound: this.inbound, decoder, onInternalError },
        this.unsent,
      );
      this.inbound.add(path, { requestStream: method.requestStream, standard: false, messageBytesMax });
    }
    this.server.addService(toServiceDefinition(service, onInternalError), implementation);
    this.services.push(service.fullName);
    this.health.setStatus(service.fullName, 'NOT_SERVING');
  }

  /**
   * Starts to listen; `port` 0 lets the system choose. Returns the port. Throws INVALID_ARGUMENT with what to do where
   * that fails.
   */
  async listen(host: string, port: number): Promise<number> {
    assert(this.listener === undefined, 'a server listens once');
    const injector = this.server.createConnectionInjector(ServerCredentials.createInsecure());
    raiseConnectionWindows(this.server);
    for (const http2Server of http2ServersOf(this.server)) this.inbound.standBefore(http2Server);
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

/** The services that are not ours, and whether the caller may send more than one message. */
const STANDARD_METHODS: readonly (readonly [path: string, requestStream: boolean])[] = [
  ['/grpc.health.v1.Health/Check', false],
  ['/grpc.health.v1.Health/Watch', false],
  ['/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', true],
  ['/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo', true],
];

type ErasedHandler = UnaryHandler<unknown, unknown> &
  ServerStreamHandler<unknown, unknown> &
  DuplexHandler<unknown, unknown>;

function wrap(method: RpcMethod, handler: unknown, support: CallSupport, unsent: UnsentResponses): UntypedHandleCall {
  assert(typeof handler === 'function', `${method.name} has no handler`);
  assert(
    method.responseStream || !method.requestStream,
    `${method.name} streams only requests: no service of ours does`,
  );
  // `Handlers` has checked that this function suits its method's kind; the three branches below are those kinds.
  const erased = present(handler, method.name) as ErasedHandler;
  if (!method.responseStream) return unaryCall(erased, support);
  if (method.requestStream) return duplexCall(erased, support);
  return serverStreamCall(erased, support, { encode: (response) => serialise(method.responseType, response), unsent });
}
