import { advanced, FlotillaError, type LogIndex, logIndex } from '../base/index.js';
import { formatEventId } from '../event/index.js';
import type { GlobReads, Replica } from '../replica/index.js';
import type { CallContext, ServerStream } from '../rpc/index.js';
import { type GatheredEvents, type LogRecord, proto } from '../wire/index.js';
import { backwardRecords } from './backward-records.js';
import { type CommittedEnd, committedEnd } from './committed-end.js';
import { ReadChunks } from './read-chunks.js';
import type { ReadPlan } from './read-plan.js';
import { keptFrom, lastCounterAt, locate } from './read-position.js';
import { batchesIn, type ReadRange, resolveRange, selectOf } from './read-range.js';

/** Sends what a plan asks for, at the reader's pace; each reader has a cursor of its own. */
export class ReadSession {
  private readonly replica: Replica;
  private readonly plan: ReadPlan;
  private readonly call: CallContext;
  private readonly chunks: ReadChunks;
  private readonly matching: GlobReads;

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
    this.matching = this.replica.byNamespace().matching(this.plan.glob);
    this.chunks = new ReadChunks({ ...options.plan, stream: options.stream, onSent: options.onSent });
  }

  async run(): Promise<void> {
    const { plan, replica, call } = this;
    const end = await this.findEnd();
    const range = await resolveRange(replica, plan, end.index, call.signal);
    await this.chunks.sendStarted({ incarnation: replica.incarnation, endId: await this.endId(end.index), confirmed: end.confirmed });
    try {
      await this.send(range);
    } catch (error) {
      // What stands before damage is served.
      if (error instanceof FlotillaError && error.code === 'DATA_LOSS') await this.chunks.flush();
      throw error;
    }
  }

  private async send(range: ReadRange): Promise<void> {
    const { plan } = this;
    if (plan.backwards) return await this.sendBackwards(range);
    const next = await this.sendThrough(range, range.first, range.last);
    if (!plan.tail || this.chunks.isDone) return;
    await this.chunks.sendCaughtUp();
    await this.follow(range, next);
  }

  /** The end of the stream as of now, confirmed with a majority where that was asked for or can be had. */
  private async findEnd(): Promise<CommittedEnd> {
    const { plan, replica } = this;
    if (await this.isLocalEnough()) return { index: replica.commitIndex, confirmed: false };
    if (plan.consistency === proto.Consistency.CONFIRMED) return { index: await replica.confirmReadIndex(), confirmed: true };
    return await committedEnd(replica);
  }

  /**
   * A tail has no end to be certain of. Only where it begins after an event that
   * is not here yet, this node may be behind; and one that leaves out what there
   * is, or most of it, has to know that.
   */
  private async isLocalEnough(): Promise<boolean> {
    const { consistency, tail, fromNow, last, start } = this.plan;
    if (consistency !== proto.Consistency.UNSPECIFIED) return consistency === proto.Consistency.LOCAL;
    if (!tail || fromNow || last !== Number.POSITIVE_INFINITY) return false;
    return start === undefined || start.id.counter <= (await lastCounterAt(this.replica, this.replica.commitIndex));
  }

  private async endId(end: LogIndex): Promise<string> {
    const last = await lastCounterAt(this.replica, end);
    const event = last === 0 ? undefined : await locate(this.replica, last);
    return event === undefined ? '' : formatEventId(event.id);
  }

  /** Sends what is committed, from record `first` through `last`; returns the index after the last one sent. */
  private async sendThrough(range: ReadRange, first: LogIndex, last: LogIndex): Promise<LogIndex> {
    let next = first;
    while (next <= last && !this.chunks.isDone) {
      if (this.call.signal.aborted) throw new FlotillaError('CANCELLED', 'the reader is gone');
      next = await keptFrom(this.replica, next, range.afterCounter);
      if (next > last) break;
      const found = await this.matching.next(next, last);
      if (found.kind === 'records') for (const record of found.records) await this.sendRecord(range, record);
      else if (found.ordered) for (const pack of found.gathered) await this.sendPacks(range, [pack]);
      else await this.sendPacks(range, found.gathered);
      next = advanced(next, logIndex(found.through + 1), 'a read');
    }
    await this.chunks.flush();
    return next;
  }

  private async sendBackwards(range: ReadRange): Promise<void> {
    for await (const record of backwardRecords(this.replica, range, this.call.signal)) {
      // What retention has removed meanwhile is not there any more: the read ends where the stream begins by now.
      const { firstCounter } = this.replica.stream.first;
      await this.sendRecord({ ...range, afterCounter: Math.max(range.afterCounter, firstCounter - 1) }, record);
      if (this.chunks.isDone) break;
    }
    await this.chunks.flush();
  }

  private async follow(range: ReadRange, first: LogIndex): Promise<void> {
    let next = first;
    while (!this.chunks.isDone) {
      await this.replica.waitCommitted(next, this.call.signal);
      const behind = await this.sendThrough(range, next, this.replica.commitIndex);
      if (!this.chunks.isDone) next = advanced(next, behind, 'a tail');
    }
  }

  /** Packs whose events may lie among each other's go out event by event. */
  private async sendPacks(range: ReadRange, packs: readonly GatheredEvents[]): Promise<void> {
    const [pack] = packs;
    if (pack !== undefined && packs.length === 1 && pack.firstCounter > range.afterCounter && pack.lastCounter < range.beforeCounter) {
      return await this.chunks.addPack(pack);
    }
    const events = packs
      .flatMap((each) => each.toEvents())
      .filter(({ id }) => id.counter > range.afterCounter && id.counter < range.beforeCounter);
    await this.chunks.addSingly(events.sort((left, right) => left.id.counter - right.id.counter));
  }

  private async sendRecord(range: ReadRange, record: LogRecord): Promise<void> {
    const batches = batchesIn(range, record);
    if (this.plan.backwards) batches.reverse();
    for (const batch of batches) {
      if (this.chunks.isDone) return;
      const pending = this.chunks.add(batch, selectOf(range, batch));
      if (pending !== undefined) await pending;
    }
  }
}
