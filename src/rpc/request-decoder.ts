import { FlotillaError, LIMITS } from '../base/index.js';
import { type Compression, decodeScanned, inflate, type MessageSchema, scanMessage } from '../wire/index.js';
import type { RpcMethod } from './service.js';

export interface LargeRequest {
  readonly path: string;
  readonly schema: MessageSchema;
  readonly bytes: Uint8Array;
  readonly compression: Compression | undefined;
}

/**
 * Decodes what would take too long, or too much memory, beside everything else,
 * and says what stands for a request of which a value is refused.
 */
export interface LargeRequests {
  /** Whether this is for requests of the method. */
  takes(path: string): boolean;
  /** The request, decoded elsewhere. Takes over its bytes. */
  decode(request: LargeRequest): Promise<unknown>;
  /** What the handler is told in place of one message of a stream; undefined: the whole stream is refused. */
  refused(path: string, bytes: Uint8Array, error: FlotillaError): unknown;
}

/** Makes requests of one method from their bytes, in bounded time and memory; see docs/operating.md, "Limits". */
export class RequestDecoder {
  private readonly path: string;
  private readonly method: RpcMethod;
  private readonly schema: MessageSchema;
  private readonly large: LargeRequests | undefined;

  constructor(path: string, method: RpcMethod, schema: MessageSchema, large: LargeRequests | undefined) {
    this.path = path;
    this.method = method;
    this.schema = schema;
    this.large = large?.takes(path) === true ? large : undefined;
  }

  /** Throws, or rejects with, INVALID_ARGUMENT or MESSAGE_TOO_LARGE. */
  decode(bytes: Uint8Array, compression: Compression | undefined): unknown {
    const plain = compression === undefined ? bytes : this.inflated(bytes, compression);
    if (plain === undefined) return this.decodeLarge(bytes, compression);
    try {
      if (this.large !== undefined && plain.byteLength > LIMITS.inlineBodyBytes)
        return this.decodeLarge(plain, undefined);
      const fieldsMax = this.large === undefined ? LIMITS.requestFields : LIMITS.inlineRequestFields;
      if (scanMessage(this.schema, plain, fieldsMax) === undefined) return this.decodeLarge(plain, undefined);
      return decodeScanned(this.method.requestType, plain);
    } catch (error) {
      return this.standIn(plain, error);
    }
  }

  private inflated(bytes: Uint8Array, compression: Compression): Uint8Array | undefined {
    return bytes.byteLength > LIMITS.inflatedBytes ? undefined : inflate(compression, bytes, LIMITS.inflatedBytes);
  }

  private decodeLarge(bytes: Uint8Array, compression: Compression | undefined): Promise<unknown> {
    if (this.large !== undefined)
      return this.large.decode({ path: this.path, schema: this.schema, bytes, compression });
    throw compression === undefined
      ? new FlotillaError('INVALID_ARGUMENT', `the request has more than ${LIMITS.requestFields} fields`)
      : new FlotillaError('MESSAGE_TOO_LARGE', `the request inflates to more than ${LIMITS.inflatedBytes} bytes`);
  }

  private standIn(bytes: Uint8Array, error: unknown): unknown {
    const told = error instanceof FlotillaError ? this.large?.refused(this.path, bytes, error) : undefined;
    if (told === undefined) throw error;
    return told;
  }
}
