import { EventEmitter } from 'node:events';
import type {
  OutgoingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
  ServerStreamResponseOptions,
} from 'node:http2';
import { type ByteBudget, type Evictable, FlotillaError, LIMITS } from '../base/index.js';
import { type Compression, inflate } from '../wire/index.js';
import { refuseStream, withCode } from './status.js';

/** Of each message: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;

/** What Node keeps of each piece of a message, beside its bytes. */
const CHUNK_OVERHEAD_BYTES = 256;

/** A message that has arrived whole; or an empty one in its place, and why it is refused. */
interface Arrived {
  readonly chunks: readonly Buffer[];
  readonly compressed: boolean;
  readonly heldBytes: number;
  readonly refusal: FlotillaError | undefined;
}

/** What the handler's side learns of a message that it is about to decode. */
export interface TakenMessage {
  readonly compression: Compression | undefined;
  readonly refusal: FlotillaError | undefined;
  /** To be called once the message's bytes are no longer needed. */
  release(): void;
}

export interface InboundStreamOptions {
  readonly stream: ServerHttp2Stream;
  readonly compression: Compression | undefined;
  /** Whether the caller may send more than one message. */
  readonly requestStream: boolean;
  /**
   * Its handler is not ours, and takes messages as grpc-js hands them over: it knows nothing of refused and compressed
   * ones.
   */
  readonly standard: boolean;
  readonly messageBytesMax: number;
  readonly budget: ByteBudget;
  /** Monotonic: the caller began the stream later than this. */
  readonly sentAfterMs: number;
}

/**
 * Stands between HTTP/2 and grpc-js, which would collect messages of any number
 * of streams, inflate as many as have come at once, and keep up to sixteen for a
 * handler that is busy. Here each message is collected within a budget of bytes,
 * nothing is inflated, and grpc-js is given a message when it is whole, and the
 * next one when the handler's side has taken enough of those before.
 *
 * In place of a message that is refused the handler's side gets an empty one with
 * the reason, behind those that came before it: their outcomes are not lost.
 */
export class InboundStream extends EventEmitter implements Evictable {
  private readonly options: InboundStreamOptions;
  private readonly stream: ServerHttp2Stream;
  /** Whole, and not yet given to grpc-js. */
  private readonly waiting: Arrived[] = [];
  /** Given to grpc-js, and not yet taken by the handler's side. */
  private readonly given: Arrived[] = [];
  private givenBytes = 0;
  private wanted = false;
  private giving = false;
  /** `ended`: the caller sends nothing more, or nothing more is looked at. `told`: grpc-js knows. */
  private state: 'open' | 'ended' | 'told' | 'closed' = 'open';

  // The message that is arriving: its prefix, and when that is whole the rest.
  private readonly prefix = Buffer.alloc(PREFIX_BYTES);
  private prefixBytes = 0;
  private missingBytes = 0;
  private chunks: Buffer[] = [];
  private arrivingBytes = 0;

  constructor(options: InboundStreamOptions) {
    super();
    this.options = options;
    this.stream = options.stream;
    this.stream.on('data', (chunk: Buffer) => this.onData(chunk));
    this.stream.on('end', () => this.onEnd());
    this.stream.on('wantTrailers', () => this.emit('wantTrailers'));
    this.stream.on('error', (error) => this.emit('error', error));
    this.stream.once('close', () => this.onClose());
    // A listener of data sets a stream going; grpc-js says when it wants to begin.
    this.stream.pause();
  }

  // What grpc-js uses of an HTTP/2 stream

  get session(): ServerHttp2Session | undefined {
    return this.stream.session as ServerHttp2Session | undefined;
  }

  get sentAfterMs(): number {
    return this.options.sentAfterMs;
  }

  get destroyed(): boolean {
    return this.stream.destroyed;
  }

  get closed(): boolean {
    return this.stream.closed;
  }

  get rstCode(): number {
    return this.stream.rstCode;
  }

  pause(): void {
    this.wanted = false;
  }

  resume(): void {
    this.wanted = true;
    this.flow();
  }

  respond(headers: OutgoingHttpHeaders, options?: ServerStreamResponseOptions): void {
    this.stream.respond(withCode(headers), options);
  }

  write(chunk: Buffer, written: (error?: Error | null) => void): boolean {
    return this.stream.write(chunk, written);
  }

  end(): void {
    this.stream.end();
  }

  /** Ends the call at once, with what was handed over for its caller and not taken. */
  close(code: number): void {
    this.stream.close(code);
  }

  sendTrailers(headers: OutgoingHttpHeaders): void {
    this.stream.sendTrailers(withCode(headers));
  }

  /** About the message that grpc-js hands over now: it does so in their order. */
  taken(): TakenMessage {
    const message = this.given.shift();
    // Those of a stream that is closed are no longer held for anybody.
    if (message === undefined) return { compression: undefined, refusal: CALLER_GONE, release: () => undefined };
    this.givenBytes -= message.heldBytes;
    let heldBytes = message.heldBytes;
    this.flow();
    return {
      compression: message.compressed ? this.options.compression : undefined,
      refusal: message.refusal,
      release: () => {
        this.options.budget.give(heldBytes);
        heldBytes = 0;
      },
    };
  }

  evict(): void {
    this.refuse(CROWDED_OUT);
  }

  private onData(chunk: Buffer): void {
    let at = 0;
    // What follows behind a request that is answered already is passed over.
    while (at < chunk.byteLength && this.state === 'open') {
      if (this.prefixBytes < PREFIX_BYTES) {
        this.prefix[this.prefixBytes++] = chunk[at++] ?? 0;
        if (this.prefixBytes === PREFIX_BYTES) this.begin();
      } else {
        const end = Math.min(chunk.byteLength, at + this.missingBytes);
        this.missingBytes -= end - at;
        this.keep(chunk.subarray(at, end));
        at = end;
      }
      if (this.state === 'open' && this.prefixBytes === PREFIX_BYTES && this.missingBytes === 0) this.arrived();
    }
    this.flow();
  }

  private begin(): void {
    const { messageBytesMax, compression } = this.options;
    this.missingBytes = this.prefix.readUInt32BE(1);
    if (this.missingBytes > messageBytesMax) {
      this.refuse(
        new FlotillaError(
          'MESSAGE_TOO_LARGE',
          `the message of ${this.missingBytes} bytes is larger than the ${messageBytesMax} that this node takes`,
        ),
      );
    } else if (this.prefix[0] !== 0 && (this.prefix[0] !== 1 || compression === undefined)) {
      const why = 'a message says that it is compressed, and its call does not say how: grpc-encoding';
      this.refuse(new FlotillaError('INVALID_ARGUMENT', why));
    }
  }

  private keep(chunk: Buffer): void {
    this.chunks.push(chunk);
    const bytes = chunk.byteLength + CHUNK_OVERHEAD_BYTES;
    this.arrivingBytes += bytes;
    if (this.missingBytes > 0 || !this.options.requestStream) this.options.budget.list(this);
    // Whoever has to let go may be this stream itself.
    if (!this.options.budget.take(bytes) && this.state === 'open') this.refuse(CROWDED_OUT);
  }

  private arrived(): void {
    const chunks = [Buffer.from(this.prefix), ...this.chunks];
    this.waiting.push({ chunks, compressed: this.prefix[0] === 1, heldBytes: this.arrivingBytes, refusal: undefined });
    this.prefixBytes = 0;
    this.chunks = [];
    this.arrivingBytes = 0;
    if (this.options.requestStream) this.options.budget.unlist(this);
  }

  private onEnd(): void {
    if (this.state !== 'open') return;
    const broken = this.prefixBytes > 0 ? 'the request ends within a message' : this.problemOfOne();
    if (broken !== undefined) {
      this.refuse(new FlotillaError('INVALID_ARGUMENT', broken));
      return;
    }
    this.state = 'ended';
    this.options.budget.unlist(this);
    this.flow();
  }

  private problemOfOne(): string | undefined {
    const { length } = this.waiting;
    return this.options.requestStream || length === 1
      ? undefined
      : `the call takes one message, and ${length} were sent`;
  }

  /** Gives grpc-js what it wants and may have, and lets more come where that is all. */
  private flow(): void {
    if (this.giving) return;
    this.giving = true;
    // One message is handed over only when the request is whole: until then it can be given up.
    while (this.wanted && this.mayGive()) {
      const message = this.waiting.shift();
      if (message === undefined) break;
      if (this.options.standard) {
        this.giveStandard(message);
        continue;
      }
      this.given.push(message);
      this.givenBytes += message.heldBytes;
      for (const chunk of message.chunks) this.emit('data', chunk);
    }
    this.giving = false;
    if (this.state === 'ended' && this.waiting.length === 0) {
      this.state = 'told';
      this.emit('end');
    }
    if (this.state !== 'open' || !this.options.requestStream || (this.wanted && this.waiting.length === 0))
      this.stream.resume();
    else this.stream.pause();
  }

  private giveStandard({ chunks, compressed, heldBytes, refusal }: Arrived): void {
    this.options.budget.give(heldBytes);
    try {
      if (refusal !== undefined) throw refusal;
      const { compression } = this.options;
      if (!compressed || compression === undefined) {
        for (const chunk of chunks) this.emit('data', chunk);
        return;
      }
      const message = inflate(compression, Buffer.concat(chunks.slice(1)), LIMITS.inflatedBytes);
      if (message === undefined)
        throw new FlotillaError('MESSAGE_TOO_LARGE', `the message inflates to more than ${LIMITS.inflatedBytes} bytes`);
      const prefix = Buffer.alloc(PREFIX_BYTES);
      prefix.writeUInt32BE(message.byteLength, 1);
      this.emit('data', prefix);
      this.emit('data', message);
    } catch (error) {
      this.state = 'told';
      refuseStream(this.stream, error);
    }
  }

  private mayGive(): boolean {
    if (!this.options.requestStream && this.state === 'open') return false;
    return this.given.length === 0 || this.givenBytes < LIMITS.handedOverBytes;
  }

  /**
   * In place of the message that is arriving the handler's side hears why it is refused, and nothing more is looked at.
   */
  private refuse(error: FlotillaError): void {
    // The one message of a call is refused as a whole; on a stream those before it count.
    if (this.options.requestStream) this.dropArriving();
    else this.dropAll();
    this.waiting.push(empty(error));
    this.state = 'ended';
    this.flow();
  }

  private dropArriving(): void {
    this.options.budget.unlist(this);
    this.options.budget.give(this.arrivingBytes);
    this.arrivingBytes = 0;
    this.chunks = [];
  }

  private dropAll(): void {
    for (const { heldBytes } of this.waiting.splice(0)) this.options.budget.give(heldBytes);
    this.dropArriving();
  }

  private onClose(): void {
    this.dropAll();
    // The call has ended: if they reach a handler's side at all, it is told that its caller is gone.
    for (const { heldBytes } of this.given.splice(0)) this.options.budget.give(heldBytes);
    this.givenBytes = 0;
    this.state = 'closed';
    this.emit('close');
  }
}

const CROWDED_OUT = new FlotillaError(
  'TOO_MANY_REQUESTS',
  'the node holds as many bytes of requests as it may, and none of them has been on its way for longer than this one: nothing was done, try again',
);
const CALLER_GONE = new FlotillaError('CANCELLED', 'the caller went away');

function empty(refusal: FlotillaError): Arrived {
  return { chunks: [Buffer.alloc(PREFIX_BYTES)], compressed: false, heldBytes: 0, refusal };
}
