import { FlotillaError, LIMITS } from '../../base/index.js';
import { RpcClient } from '../../rpc/index.js';
import {
  decodeCheckpoint,
  follows,
  type LogRecord,
  type LogTail,
  openRecord,
  proto,
  tailAfter,
} from '../../wire/index.js';
import { Attempts, type ClientContext } from '../connection/attempts.js';
import { connected, KEEPALIVE } from '../connection/connect.js';

export interface LogOptions {
  /** What the caller has already; absent: from where the log begins. */
  readonly after?: { readonly tail: LogTail; readonly incarnation: string } | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a copy of the log stands on, before its first record. */
export interface LogStart {
  /** 32 hexadecimal digits each. */
  readonly clusterId: string;
  readonly incarnation: string;
  /** The last record of the copy, which is committed. */
  readonly throughIndex: number;
  /** Whether a majority confirmed that nothing acknowledged before stands behind it. */
  readonly confirmed: boolean;
  /** What the first record builds on; undefined where the caller said what that is. */
  readonly checkpoint: Uint8Array | undefined;
}

export type LogPart =
  | { readonly kind: 'start'; readonly start: LogStart }
  | { readonly kind: 'records'; readonly records: LogRecord[] };

/**
 * Copies a stream's log, record by record as it is stored, over as many
 * connections as it takes: first its start, then records that continue one
 * another and what the caller has. Each is verified as it comes. The caller's
 * pull is what drives it.
 */
export async function* readLog(
  context: ClientContext,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogPart, void, undefined> {
  const copy = new LogCopy(context.stream, options);
  const attempts = new Attempts(context, { isRead: true, signal });
  for (;;) {
    const { address } = attempts;
    try {
      for await (const part of readFrom(address, context, copy, signal)) {
        attempts.progress();
        yield part;
      }
      if (copy.complete) return;
      throw new FlotillaError('UNREACHABLE', `${address} ended the copy`);
    } catch (error) {
      await attempts.failed(error);
    }
  }
}

/** One connection's worth. */
async function* readFrom(
  address: string,
  context: ClientContext,
  copy: LogCopy,
  signal: AbortSignal,
): AsyncGenerator<LogPart, void, undefined> {
  const client = new RpcClient(proto.BackupServiceDefinition, address, KEEPALIVE);
  const call = client.serverStream('readLog', copy.request(), { signal });
  try {
    await connected(client, call);
    for await (const { content } of call) {
      switch (content?.$case) {
        case 'started':
          context.onConnected(address);
          copy.started(content.value, address);
          break;
        case 'checkpoint':
          copy.addCheckpoint(content.value);
          break;
        case 'records': {
          const records = copy.take(content.value.records, address);
          if (records.length > 0) yield { kind: 'records', records };
          break;
        }
        default:
          throw new FlotillaError('INTERNAL', `${address} sent something that this version does not know`);
      }
      const start = copy.newStart();
      if (start !== undefined) yield { kind: 'start', start };
      if (copy.complete) return;
    }
  } finally {
    call.cancel();
    client.close();
  }
}

/** How far a copy has come; it survives the connections. */
class LogCopy {
  /** Once all of it is here. */
  start: LogStart | undefined;
  private readonly stream: string;
  private tail: LogTail | undefined;
  private incarnation: string;
  private announced: proto.LogStarted | undefined;
  private pieces: Uint8Array[] = [];
  private pieceBytes = 0;
  private told = false;

  constructor(stream: string, { after }: LogOptions) {
    this.stream = stream;
    this.tail = after?.tail;
    this.incarnation = after?.incarnation ?? '';
  }

  get complete(): boolean {
    return (
      this.start !== undefined && this.told && this.tail !== undefined && this.tail.index >= this.start.throughIndex
    );
  }

  request(): proto.ReadLogRequest {
    const { tail } = this;
    const after = tail === undefined ? undefined : { index: tail.index, term: tail.term, checksum: tail.checksum };
    return { stream: this.stream, after, incarnation: this.incarnation };
  }

  started(started: proto.LogStarted, address: string): void {
    if (this.start !== undefined) {
      if (started.throughIndex >= this.start.throughIndex) return;
      throw new FlotillaError(
        'NOT_READY',
        `${address} is behind: it knows of ${started.throughIndex} committed records`,
      );
    }
    if (started.checkpointBytes > LIMITS.snapshotBytes)
      throw new FlotillaError(
        'MESSAGE_TOO_LARGE',
        `the checkpoint at the log's begin has ${started.checkpointBytes} bytes`,
      );
    this.announced = started;
    this.pieces = [];
    this.pieceBytes = 0;
    if (this.tail !== undefined) this.begin(started, undefined);
  }

  addCheckpoint(piece: Uint8Array): void {
    const { announced } = this;
    if (announced === undefined || this.start !== undefined)
      throw new FlotillaError('INTERNAL', 'a checkpoint came that was not announced');
    this.pieces.push(piece);
    this.pieceBytes += piece.byteLength;
    if (this.pieceBytes < announced.checkpointBytes) return;
    const checkpoint = Buffer.concat(this.pieces);
    this.pieces = [];
    this.tail = decodeCheckpoint(checkpoint).before;
    this.begin(announced, checkpoint);
  }

  /** The start, once, as soon as it is whole. */
  newStart(): LogStart | undefined {
    if (this.told || this.start === undefined) return undefined;
    this.told = true;
    return this.start;
  }

  /** Opens records, of which none may be missing and none be of another history: all of them, or none. */
  take(encoded: readonly Uint8Array[], address: string): LogRecord[] {
    const { start } = this;
    let { tail } = this;
    const records: LogRecord[] = [];
    for (const bytes of encoded) {
      const record = openRecord(bytes);
      if (tail === undefined || start === undefined || !follows(tail, record))
        throw new FlotillaError(
          'DATA_LOSS',
          `record ${record.index} that ${address} sent does not continue record ${tail?.index}`,
        );
      if (record.index > start.throughIndex) break;
      tail = tailAfter(record);
      records.push(record);
    }
    this.tail = tail;
    return records;
  }

  private begin(
    { clusterId, incarnation, throughIndex, confirmed }: proto.LogStarted,
    checkpoint: Uint8Array | undefined,
  ): void {
    this.incarnation = incarnation;
    this.start = { clusterId, incarnation, throughIndex, confirmed, checkpoint };
  }
}
