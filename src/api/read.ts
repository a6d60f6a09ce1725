import { FlotillaError, LIMITS, type LogIndex, logIndex } from '../base/index.js';
import { compileGlob, DEFAULT_GLOB, type EventId, formatEventId, type Glob, parseEventId } from '../event/index.js';
import type { Replica } from '../replica/index.js';
import type { CallContext, ServerStream } from '../rpc/index.js';
import { batchesOf, type LogRecord, proto } from '../wire/index.js';
import { ReadChunks } from './read-chunks.js';
import { firstPosition, lastCounterAt, locate, positionAfter, type ReadPosition } from './read-position.js';

interface ReadPlan {
  readonly glob: Glob;
  readonly startAfter: EventId | undefined;
  /** Infinity: none. */
  readonly limit: number;
  readonly tail: boolean;
  readonly consistency: proto.Consistency;
  readonly packed: boolean;
}

/** Checks a request in full before anything is read. */
export function planRead(request: proto.ReadRequest, replica: Replica): ReadPlan {
  if (request.limit < 0) throw new FlotillaError('INVALID_ARGUMENT', `limit: ${request.limit} is negative; 0 means no limit`);
  if (!(request.consistency in proto.Consistency)) {
    throw new FlotillaError('INVALID_ARGUMENT', `consistency: ${request.consistency} is unknown; use 0, 1 (confirmed) or 2 (local)`);
  }
  if (request.incarnation !== '' && request.incarnation !== replica.incarnation) {
    throw new FlotillaError(
      'POSITION_MISMATCH',
      `incarnation: the stream's is ${replica.incarnation}, not ${request.incarnation}: it was created anew or restored`,
    );
  }
  return {
    glob: compileGlob(request.glob === '' ? DEFAULT_GLOB : request.glob, 'glob'),
    startAfter: request.startAfter === '' ? undefined : parseEventId(request.startAfter, 'start_after'),
    limit: request.limit === 0 ? Number.POSITIVE_INFINITY : request.limit,
    tail: request.tail,
    consistency: request.consistency,
    packed: request.packed,
  };
}

/** Sends what a plan asks for, at the reader's pace; each reader has a cursor of its own. */
export class ReadSession {
  private readonly replica: Replica;
  private readonly plan: ReadPlan;
  private readonly call: CallContext;
  private readonly chunks: ReadChunks;

  constructor(options: {
    replica: Replica;
    plan: ReadPlan;
    stream: ServerStream<proto.ReadResponse>;
    call: CallContext;
    onSent: (events: number, bytes: number) => void;
  }) {
    this.replica = options.replica;
    this.plan = options.plan;
    this.call = options.call;
    this.chunks = new ReadChunks({ ...options.plan, stream: options.stream, onSent: options.onSent });
  }

  async run(): Promise<void> {
    const { plan, replica } = this;
    const end = await this.findEnd();
    const position = plan.startAfter === undefined ? firstPosition(replica) : await positionAfter(replica, plan.startAfter);
    await this.chunks.sendStarted({ incarnation: replica.incarnation, endId: await this.endId(end.index), confirmed: end.confirmed });
    const next = await this.sendThrough(position, end.index);
    if (!plan.tail || this.chunks.isDone) return;
    await this.chunks.sendCaughtUp();
    await this.follow({ ...position, index: next });
  }

  /** The end of the stream as of now, confirmed with a majority where that was asked for or can be had. */
  private async findEnd(): Promise<{ index: LogIndex; confirmed: boolean }> {
    const { plan, replica } = this;
    if (await this.isLocalEnough()) return { index: replica.commitIndex, confirmed: false };
    try {
      return { index: await replica.confirmReadIndex(), confirmed: true };
    } catch (error) {
      const unconfirmed = error instanceof FlotillaError && error.code === 'NO_LEADER';
      if (!unconfirmed || plan.consistency === proto.Consistency.CONFIRMED) throw error;
      return { index: replica.commitIndex, confirmed: false };
    }
  }

  /** A tail has no end to be certain of; only where it begins after an event that is not here yet, this node may be behind. */
  private async isLocalEnough(): Promise<boolean> {
    const { consistency, tail, startAfter } = this.plan;
    if (consistency !== proto.Consistency.UNSPECIFIED) return consistency === proto.Consistency.LOCAL;
    if (!tail) return false;
    return startAfter === undefined || startAfter.counter <= (await lastCounterAt(this.replica, this.replica.commitIndex));
  }

  private async endId(end: LogIndex): Promise<string> {
    const last = await lastCounterAt(this.replica, end);
    const event = last === 0 ? undefined : await locate(this.replica, last);
    return event === undefined ? '' : formatEventId(event.id);
  }

  /** Sends from `position` through `end`; returns the index after the last one sent. */
  private async sendThrough(position: ReadPosition, end: LogIndex): Promise<LogIndex> {
    let next = position.index;
    while (next <= end && !this.chunks.isDone) {
      const records = await this.replica.read(next, end, LIMITS.readChunkBytes);
      for (const record of records) await this.sendRecord(record, position);
      next = logIndex(next + records.length);
    }
    await this.chunks.flush();
    return next;
  }

  private async follow(position: ReadPosition): Promise<void> {
    let next = position.index;
    while (!this.chunks.isDone) {
      await this.replica.waitCommitted(next, this.call.signal);
      next = await this.sendThrough({ ...position, index: next }, this.replica.commitIndex);
    }
  }

  private async sendRecord(record: LogRecord, { afterCounter }: ReadPosition): Promise<void> {
    if (record.kind !== 'events') return;
    for (const batch of batchesOf(record)) {
      if (this.chunks.isDone) return;
      if (batch.header.baseCounter + batch.header.count - 1 <= afterCounter) continue;
      const pending = this.chunks.add(batch, afterCounter);
      if (pending !== undefined) await pending;
    }
  }
}
