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

/** What precedes each message: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;

/** What Node keeps of each piece of a message, beside its bytes. */
const PIECE_OVERHEAD_BYTES = 256;

/** Stands for every message where grpc-js passes it on: an empty one. */
const PLACEHOLDER = Buffer.alloc(PREFIX_BYTES);
const EMPTY = Buffer.alloc(0);

/** A message that has arrived whole; or an empty one in its place, with the reason why it is refused. */
export interface InboundMessage {
  readonly bytes: Buffer;
  readonly compression: Compression | undefined;
  readonly refusal: FlotillaError | undefined;
  /** What it takes of the budget until it is released. */
  readonly heldBytes: number;
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
 * and nothing is inflated. grpc-js sees none of the bytes: it passes on an empty
 * message for each that is whole, the next one when enough of those before have
 * been taken, and the handler's side takes the message here when it is handed that.
 *
 * An empty message takes the place of one that is refused, with the reason, behind those that came before it: their
 * outcomes are not lost.
 */
export class InboundStream extends EventEmitter implements Evictable {
  private readonly options: InboundStreamOptions;
  private readonly stream: ServerHttp2Stream;
  /** Messages that have arrived and were not taken; grpc-js knows of the first `given`. */
  private readonly messages: InboundMessage[] = [];
  private given = 0;
  private givenBytes = 0;
  private wanted = false;
  private giving = false;
  private listed = false;
  /** `ended`: the caller sends nothing more, or nothing more is looked at. `told`: grpc-js knows. */
  private state: 'open' | 'ended' | 'told' | 'closed' = 'open';

  // The message that is arriving: its prefix, and when that is whole the rest.
  private readonly prefix = Buffer.alloc(PREFIX_BYTES);
  private prefixBytes = 0;
  private missingBytes = 0;
  private pieces: Buffer[] = [];
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

  /** The message for which grpc-js hands over an empty one now: it does so in their order. The caller releases it. */
  take(): InboundMessage {
    const message = this.messages.shift();
    if (message === undefined) return CALLER_GONE;
    this.given--;
    this.givenBytes -= message.heldBytes;
    this.flow();
    return message;
  }

  /** The caller calls this once the message's bytes are no longer needed. */
  release({ heldBytes }: InboundMessage): void {
    if (heldBytes > 0) this.options.budget.give(heldBytes);
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
        this.keep(at === 0 && end === chunk.byteLength ? chunk : chunk.subarray(at, end));
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

  private keep(piece: Buffer): void {
    this.pieces.push(piece);
    const bytes = piece.byteLength + PIECE_OVERHEAD_BYTES;
    this.arrivingBytes += bytes;
    if (!this.listed && (this.missingBytes > 0 || !this.options.requestStream)) {
      this.listed = true;
      this.options.budget.list(this);
    }
    // The stream that has to let go may be this one.
    if (!this.options.budget.take(bytes) && this.state === 'open') this.refuse(CROWDED_OUT);
  }

  private arrived(): void {
    const [first, ...others] = this.pieces;
    this.messages.push({
      // Copied: a piece is a view of what its connection has read at once, which may be far more.
      bytes: first !== undefined && others.length === 0 ? Buffer.from(first) : Buffer.concat(this.pieces),
      compression: this.prefix[0] === 1 ? this.options.compression : undefined,
      refusal: undefined,
      heldBytes: this.arrivingBytes,
    });
    this.prefixBytes = 0;
    this.pieces = [];
    this.arrivingBytes = 0;
    if (this.options.requestStream) this.unlist();
  }

  private onEnd(): void {
    if (this.state !== 'open') return;
    const broken = this.prefixBytes > 0 ? 'the request ends within a message' : this.problemOfOne();
    if (broken !== undefined) {
      this.refuse(new FlotillaError('INVALID_ARGUMENT', broken));
      return;
    }
    this.state = 'ended';
    this.unlist();
    this.flow();
  }

  private problemOfOne(): string | undefined {
    const { length } = this.messages;
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
      const message = this.messages[this.given];
      if (message === undefined) break;
      if (this.options.standard) {
        this.messages.shift();
        this.giveStandard(message);
        continue;
      }
      this.given++;
      this.givenBytes += message.heldBytes;
      this.emit('data', PLACEHOLDER);
    }
    this.giving = false;
    const allGiven = this.given === this.messages.length;
    if (this.state === 'ended' && allGiven) {
      this.state = 'told';
      this.emit('end');
    }
    // What one read brings may wait here: holding the stream back for each message costs more than the message.
    if (this.state !== 'open' || !this.options.requestStream || allGiven) this.stream.resume();
    else this.stream.pause();
  }

  private giveStandard(message: InboundMessage): void {
    this.release(message);
    try {
      const { bytes, compression, refusal } = message;
      if (refusal !== undefined) throw refusal;
      const plain = compression === undefined ? bytes : inflate(compression, bytes, LIMITS.inflatedBytes);
      if (plain === undefined)
        throw new FlotillaError('MESSAGE_TOO_LARGE', `the message inflates to more than ${LIMITS.inflatedBytes} bytes`);
      const prefix = Buffer.alloc(PREFIX_BYTES);
      prefix.writeUInt32BE(plain.byteLength, 1);
      this.emit('data', prefix);
      this.emit('data', plain);
    } catch (error) {
      this.state = 'told';
      refuseStream(this.stream, error);
    }
  }

  private mayGive(): boolean {
    if (!this.options.requestStream && this.state === 'open') return false;
    return this.given === 0 || this.givenBytes < LIMITS.handedOverBytes;
  }

  /**
   * The handler's side gets the reason of the refusal instead of the message that is arriving; what follows is not
   * looked at.
   */
  private refuse(error: FlotillaError): void {
    // The one message of a call is refused as a whole; on a stream those before it count.
    if (this.options.requestStream) this.dropArriving();
    else this.dropAll();
    this.messages.push(refused(error));
    this.state = 'ended';
    this.flow();
  }

  private dropArriving(): void {
    this.unlist();
    this.options.budget.give(this.arrivingBytes);
    this.arrivingBytes = 0;
    this.pieces = [];
  }

  private dropAll(): void {
    for (const message of this.messages.splice(0)) this.release(message);
    this.given = 0;
    this.givenBytes = 0;
    this.dropArriving();
  }

  private unlist(): void {
    if (!this.listed) return;
    this.listed = false;
    this.options.budget.unlist(this);
  }

  /** Code that is still handed something of this call hears that the caller is gone. */
  private onClose(): void {
    this.dropAll();
    this.state = 'closed';
    this.emit('close');
  }
}

const CROWDED_OUT = new FlotillaError(
  'TOO_MANY_REQUESTS',
  'the node holds as many bytes of requests as it may, and none of them has been on its way for longer than ' +
    'this one: nothing was done, try again',
);

/** What is taken of a call that is over. */
export const CALLER_GONE: InboundMessage = refused(new FlotillaError('CANCELLED', 'the caller went away'));

function refused(refusal: FlotillaError): InboundMessage {
  return { bytes: EMPTY, compression: undefined, refusal, heldBytes: 0 };
}
