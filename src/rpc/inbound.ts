import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { status as GrpcStatus, type Metadata } from '@grpc/grpc-js';
import { assert, ByteBudget, FlotillaError, LIMITS, present } from '../base/index.js';
import { isCompression } from '../wire/index.js';
import { InboundStream } from './inbound-stream.js';
import { SessionTimes } from './session-times.js';
import { refuseStream } from './status.js';

const COMPRESSION_HEADER = 'grpc-encoding';

/**
 * Carries the number of a call's inbound stream through grpc-js, which hands on nothing but metadata. What a caller
 * writes there is overwritten.
 */
const STREAM_HEADER = 'flotilla-inbound-stream';

/** What is known of a method before any byte of its request. */
export interface InboundMethod {
  readonly requestStream: boolean;
  readonly standard: boolean;
  readonly messageBytesMax: number;
}

/** What grpc-js does with a stream. */
type StreamListener = (stream: ServerHttp2Stream | InboundStream, headers: IncomingHttpHeaders) => void;

/** The part of an HTTP/2 server that is used here. */
interface StreamSource {
  listeners(event: 'stream'): unknown[];
  removeAllListeners(event: 'stream'): unknown;
  on(event: 'stream', listener: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void): unknown;
  on(event: 'session', listener: (session: ServerHttp2Session) => void): unknown;
}

/**
 * Everything that comes in at a server's port goes through here, within a budget of bytes: see docs/operating.md,
 * "Limits".
 */
export class Inbound {
  private readonly methods = new Map<string, InboundMethod>();
  private readonly streams = new Map<string, InboundStream>();
  private readonly node = new ByteBudget(LIMITS.inboundBytes);
  private readonly addresses = new Map<string, { readonly budget: ByteBudget; connections: number }>();
  private readonly connections = new WeakMap<ServerHttp2Session, ByteBudget>();
  private readonly times = new SessionTimes();
  private lastStream = 0;

  /** What requests hold now. */
  get heldBytes(): number {
    return this.node.heldBytes;
  }

  /** `path` is served. */
  add(path: string, method: InboundMethod): void {
    this.methods.set(path, method);
  }

  /**
   * Takes the place of the listener that grpc-js has put on its HTTP/2 server, and calls it with streams of our own.
   */
  standBefore(server: StreamSource): void {
    const [listener, ...others] = server.listeners('stream');
    assert(
      typeof listener === 'function' && others.length === 0,
      'grpc-js listens to the streams of its server, and no other code does',
    );
    const handle = listener as StreamListener;
    server.removeAllListeners('stream');
    server.on('stream', (stream, headers) => this.onStream(stream, headers, handle));
    server.on('session', (session) => this.times.begun(session));
  }

  /** Everything that comes on this call was sent after this time; see {@link SessionTimes}. */
  sentAfterMs(metadata: Metadata): number {
    const stream = this.streamOf(metadata);
    if (stream?.session !== undefined) this.times.refresh(stream.session);
    return stream?.sentAfterMs ?? Number.NEGATIVE_INFINITY;
  }

  /** The stream of a call, as its metadata name it; undefined where it has been closed. */
  streamOf(metadata: Metadata): InboundStream | undefined {
    return this.streams.get(String(metadata.get(STREAM_HEADER)[0]));
  }

  private onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, handle: StreamListener): void {
    const path = String(headers[':path']);
    const method = this.methods.get(path);
    const encoding = headers[COMPRESSION_HEADER] ?? 'identity';
    if (method === undefined) {
      refuseStream(
        stream,
        new FlotillaError(
          'FOREIGN_NODE',
          `${path}: this node does not know this call; is it a Flotilla node of this version?`,
        ),
        {
          'grpc-status': GrpcStatus.UNIMPLEMENTED,
        },
      );
    } else if (typeof encoding !== 'string' || (encoding !== 'identity' && !isCompression(encoding))) {
      refuseStream(
        stream,
        new FlotillaError(
          'INVALID_ARGUMENT',
          `grpc-encoding: ${String(encoding)} is none of identity, gzip and deflate`,
        ),
        {
          'grpc-status': GrpcStatus.UNIMPLEMENTED,
          'grpc-accept-encoding': 'identity,deflate,gzip',
        },
      );
    } else {
      const compression = encoding === 'identity' ? undefined : encoding;
      const session = present(stream.session, 'a stream that begins has a session') as ServerHttp2Session;
      const [budget, sentAfterMs] = [this.budgetOf(session), this.times.sentAfterMs(session)];
      const inbound = new InboundStream({ stream, compression, budget, sentAfterMs, ...method });
      const id = String(++this.lastStream);
      this.streams.set(id, inbound);
      stream.once('close', () => this.streams.delete(id));
      // grpc-js takes messages as they are, and those that are compressed are inflated where there is a bound.
      delete headers[COMPRESSION_HEADER];
      headers[STREAM_HEADER] = id;
      handle(inbound, headers);
    }
  }

  private budgetOf(session: ServerHttp2Session): ByteBudget {
    const known = this.connections.get(session);
    if (known !== undefined) return known;
    const address = session.socket.remoteAddress ?? '';
    const shared = this.addresses.get(address) ?? {
      budget: new ByteBudget(LIMITS.inboundBytesPerAddress, this.node),
      connections: 0,
    };
    this.addresses.set(address, shared);
    shared.connections++;
    session.once('close', () => {
      shared.connections--;
      if (shared.connections === 0 && this.addresses.get(address) === shared) this.addresses.delete(address);
    });
    const budget = new ByteBudget(LIMITS.inboundBytesPerConnection, shared.budget);
    this.connections.set(session, budget);
    return budget;
  }
}
