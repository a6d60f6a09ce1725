import { advanced, FlotillaError, LIMITS, type LogIndex, logIndex } from '../base/index.js';
import type { GroupLog, Storage } from '../group/index.js';
import type { Stream } from '../stream/index.js';
import { encodeCheckpoint, type LogTail, tailAfter } from '../wire/index.js';
import { authorize } from './authorize.js';
import type { Caller } from './caller.js';
import { type CommittedEnd, committedEnd } from './committed-end.js';
import { HeldRecords } from './held-records.js';
import type { Sink } from './read-parts.js';
import type { Reader, Reading } from './reading.js';
import { findStream, requireIncarnation, type Streams } from './streams.js';

/** What backups are made of. */
export interface BackupSource {
  readonly streams: Streams;
  /** Empty while the cluster is still forming. */
  readonly clusterId: () => string;
  readonly storage: Pick<Storage, 'group'>;
  readonly reading: Reading;
}

export interface LogRequest {
  /** Empty: the default one. */
  readonly stream: string;
  /** The last record that the caller has; absent: it has none. */
  readonly after?: LogPosition | undefined;
  /** Refused where the stream has another. */
  readonly incarnation?: string;
}

/** A record, and by what it is known to be that one. */
export interface LogPosition {
  readonly index: number;
  readonly term: number;
  readonly checksum: number;
}

/** `started` first, then pieces of the checkpoint, then records, each as it is stored. */
export type LogPart =
  | LogStarted
  | { readonly kind: 'checkpoint'; readonly piece: Uint8Array }
  | { readonly kind: 'records'; readonly records: readonly Uint8Array[] };

export interface LogStarted {
  readonly kind: 'started';
  readonly clusterId: string;
  readonly incarnation: string;
  /** The last record that will come. */
  readonly throughIndex: LogIndex;
  /** Whether a majority confirmed that this is the end. */
  readonly confirmed: boolean;
  readonly checkpointBytes: number;
}

/** Copying what a node stores. Each reader has a cursor of its own, and goes at its own pace. */
export class BackupUseCases {
  private readonly source: BackupSource;

  constructor(source: BackupSource) {
    this.source = source;
  }

  /** Hands a stream's log to a sink, from its begin or behind what the caller has. */
  async readLog(caller: Caller, request: LogRequest, sink: Sink<LogPart>, signal: AbortSignal): Promise<void> {
    authorize(caller, 'admin', request.stream);
    const { reading } = this.source;
    const reader = { reading, signal, turns: reading.turnsOf(signal) };
    await reading.admit(() => readLog(this.source, request, sink, reader));
  }
}

async function readLog(
  source: BackupSource,
  { stream: name, after, incarnation = '' }: LogRequest,
  sink: Sink<LogPart>,
  reader: Reader,
): Promise<void> {
  const stream = findStream(source.streams, name);
  requireIncarnation(stream, incarnation);
  const end = await committedEnd(stream);
  if (after !== undefined) await requireRecord(stream, after, end);
  const checkpoint =
    after === undefined ? await checkpointAtBegin(stream, source.storage.group(stream.group.id)) : NO_CHECKPOINT;
  await sink.send({
    kind: 'started',
    clusterId: source.clusterId(),
    incarnation: stream.group.incarnation,
    throughIndex: end.index,
    confirmed: end.confirmed,
    checkpointBytes: checkpoint.bytes.byteLength,
  });
  for (let offset = 0; offset < checkpoint.bytes.byteLength; offset += LIMITS.snapshotChunkBytes) {
    const piece = checkpoint.bytes.subarray(offset, offset + LIMITS.snapshotChunkBytes);
    await sink.send({ kind: 'checkpoint', piece });
  }
  await sendRecords(stream, { after: logIndex(after?.index ?? checkpoint.index), through: end.index }, sink, reader);
}

async function sendRecords(
  stream: Stream,
  range: { after: LogIndex; through: LogIndex },
  sink: Sink<LogPart>,
  reader: Reader,
): Promise<void> {
  for (let next = logIndex(range.after + 1); next <= range.through; ) {
    if (reader.turns.isDue) await reader.turns.next();
    const { count, taken } = await sendSomeRecords(stream, next, range.through, sink, reader);
    await taken;
    next = advanced(next, logIndex(next + count), 'copying the log');
  }
}

/** They are not held while the reader's pace is waited for. */
async function sendSomeRecords(
  stream: Stream,
  from: LogIndex,
  through: LogIndex,
  sink: Sink<LogPart>,
  { reading, signal }: Reader,
): Promise<{ count: number; taken: Promise<void> | undefined }> {
  const held = new HeldRecords(reading.records);
  try {
    await held.reserve(signal);
    const records = await stream.group.read(from, through, LIMITS.readChunkBytes);
    const taken = sink.send({ kind: 'records', records: records.map(({ bytes }) => bytes) });
    taken?.catch(() => undefined);
    return { count: records.length, taken };
  } finally {
    held.release();
  }
}

const NO_CHECKPOINT = { index: logIndex(0), bytes: new Uint8Array(0) };

/** What the first record that is served builds on. */
async function checkpointAtBegin(
  { group: { begin } }: Stream,
  stored: GroupLog,
): Promise<{ index: LogIndex; bytes: Uint8Array }> {
  // While a snapshot takes the place of the log, the disk still has the old one.
  if (stored.cutPoint(begin.index) !== begin.index)
    throw new FlotillaError('NOT_READY', "this node's log is being replaced: try again, or use another node");
  return { index: begin.index, bytes: encodeCheckpoint(await stored.checkpointAt(begin.index)) };
}

/** The caller's last record must be one of this stream's: what follows it would be another history's. */
async function requireRecord(stream: Stream, after: LogPosition, { index, confirmed }: CommittedEnd): Promise<void> {
  const { begin } = stream.group;
  if (after.index < begin.index) {
    throw new FlotillaError(
      'POSITION_REMOVED',
      `after: record ${after.index} is not kept any more; ` +
        `the log begins with record ${begin.index + 1}, counter ${begin.nextCounter}`,
    );
  }
  if (after.index > index && !confirmed)
    throw new FlotillaError(
      'NOT_READY',
      `this node knows of ${index} committed records, and not yet of record ${after.index}: use another one`,
    );
  const held = after.index > index ? undefined : await tailAt(stream, logIndex(after.index));
  if (held?.term === after.term && held.checksum === after.checksum) return;
  throw new FlotillaError(
    'POSITION_MISMATCH',
    `after: record ${after.index} of this stream is another one, or none: this is another history`,
  );
}

async function tailAt(stream: Stream, index: LogIndex): Promise<LogTail | undefined> {
  if (index === stream.group.begin.index) return stream.group.begin;
  const [record] = await stream.group.read(index, index, 1);
  return record === undefined ? undefined : tailAfter(record);
}
