import type { ServiceDefinition } from '@grpc/grpc-js';
import { decodeMessage, encodeMessage } from '../wire/index.js';

type WireReader = Parameters<Parameters<typeof decodeMessage>[0]['decode']>[0];
type WireWriter = Parameters<Parameters<typeof encodeMessage>[0]['encode']>[1];

/** A generated message type, seen without knowing its message. */
interface WireType {
  encode(message: never, writer: WireWriter): WireWriter;
  decode(input: WireReader): unknown;
}

/** What the generated code says of one method. */
export interface RpcMethod {
  readonly name: string;
  readonly requestType: WireType;
  readonly requestStream: boolean;
  readonly responseType: WireType;
  readonly responseStream: boolean;
}

/** A generated service definition, such as `proto.EventServiceDefinition`. */
export interface RpcService {
  readonly fullName: string;
  readonly methods: Readonly<Record<string, RpcMethod>>;
}

type MessageOf<Type> = Type extends { decode(input: WireReader): infer Message } ? Message : never;

type Method<Service extends RpcService, Name extends keyof Service['methods']> = Service['methods'][Name];

export type RequestOf<Service extends RpcService, Name extends keyof Service['methods']> = MessageOf<
  Method<Service, Name>['requestType']
>;
export type ResponseOf<Service extends RpcService, Name extends keyof Service['methods']> = MessageOf<
  Method<Service, Name>['responseType']
>;

/** The names of a service's methods that are of one kind. */
export type MethodNames<Service extends RpcService, RequestStream extends boolean, ResponseStream extends boolean> = {
  [Name in keyof Service['methods']]: Method<Service, Name> extends {
    readonly requestStream: RequestStream;
    readonly responseStream: ResponseStream;
  }
    ? Name
    : never;
}[keyof Service['methods']] &
  string;

export function methodPath(service: RpcService, method: RpcMethod): string {
  return `/${service.fullName}/${method.name}`;
}

/**
 * The bytes of a message of which the method's types, checked where handlers and calls are written, say that it belongs
 * to it.
 */
export function serialise(type: WireType, message: unknown): Buffer {
  return encodeMessage(type, message as never);
}

/**
 * A generated definition as grpc-js takes it. `onFailedEncoding` hears of a
 * response that could not be encoded: grpc-js itself drops the reason.
 */
export function toServiceDefinition(
  service: RpcService,
  onFailedEncoding: (error: unknown, path: string) => void,
): ServiceDefinition {
  const definition: Record<string, ServiceDefinition[string]> = {};
  for (const [key, method] of Object.entries(service.methods)) {
    const path = methodPath(service, method);
    definition[key] = {
      path,
      requestStream: method.requestStream,
      responseStream: method.responseStream,
      requestSerialize: (message: unknown) => serialise(method.requestType, message),
      // An empty one: the handler's side takes the message itself from the call's stream, see inbound-stream.ts.
      requestDeserialize: (bytes: Buffer) => bytes,
      responseSerialize: (message: unknown) => {
        // The responses of a server stream come encoded: see response-sender.ts.
        if (Buffer.isBuffer(message)) return message;
        try {
          return serialise(method.responseType, message);
        } catch (error) {
          onFailedEncoding(error, path);
          throw error;
        }
      },
      responseDeserialize: (bytes: Buffer) => decodeMessage(method.responseType, bytes),
    };
  }
  return definition;
}
