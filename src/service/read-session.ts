import { advanced, FlotillaError, LIMITS, type LogIndex, logIndex, MinHeap } from '../base/index.js';
import type { Event, EventId } from '../event/index.js';
import { type GlobReads, inTurns, type LogMatches, type Stream, type Turns } from '../stream/index.js';
import type { GatheredEvents, LogRecord } from '../wire/index.js';
import { backwardRecords } from './backward-records.js';
import { type CommittedEnd, committedEnd } from './committed-end.js';
import { HeldRecords } from './held-records.js';
import { ReadChunks, ReaderStalled } from './read-chunks.js';
import type { ReadSink } from './read-parts.js';
import type { ReadPlan } from './read-plan.js';
import { keptFrom, lastCounterAt, locate } from './read-position.js';
import { batchesIn, type ReadRange, resolveRange, selectingOf, selectOf } from './read-range.js';
import type { Reading } from './reading.js';

/** Sends what a plan asks for, at the reader's pace; each reader has a cursor of its own. */
export class ReadSession {
  private readonly stream: Stream;
  private readonly plan: ReadPlan;
  private readonly signal: AbortSignal;
  private readonly chunks: ReadChunks;
  private readonly matching: GlobReads;
  private readonly reading: Reading;
  private readonly turns: Turns;
  /** Bytes of batches since the last look at the time. */
  private worked = 0;

  constructor(options: {
    stream: Stream;
    plan: ReadPlan;
    sink: ReadSink;
    /** Aborted when the reader is gone. */
    signal: AbortSignal;
    reading: Reading;
    onSent: (events: number, bytes: number) => void;
  }) {
    this.stream = options.stream;
    this.plan = options.plan;
    this.signal = options.signal;
    this.reading = options.reading;
    this.turns = this.reading.turnsOf(this.signal);
    this.matching = this.stream.byNamespace(this.turns).matching(this.plan.glob);
    this.chunks = new ReadChunks({
      ...options.plan,
      sink: options.sink,
      turns: this.turns,
      onSent: options.onSent,
    });
  }

  async run(): Promise<void> {
    const { plan, stream, signal } = this;
    if (this.turns.isDue) await this.turns.next();
    const end = await this.findEnd();
    if (this.turns.isDue) await this.turns.next();
    const range = await resolveRange(stream, plan, end.index, {
      signal,
      reading: this.reading,
      turns: this.turns,
    });
    await this.chunks.sendStarted({
      kind: 'started',
      incarnation: stream.group.incarnation,
      endId: await this.endId(end.index),
      confirmed: end.confirmed,
    });
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
    const { plan, stream } = this;
    if (await this.isLocalEnough()) return { index: stream.group.commitIndex, confirmed: false };
    if (plan.consistency === 'confirmed') return { index: await stream.group.confirmReadIndex(), confirmed: true };
    return await committedEnd(stream);
  }

  /**
   * A tail has no end to be certain of. Only where it begins after an event that
   * is not here yet, this node may be behind; and one that leaves out what there
   * is, or most of it, has to know that.
   */
  private async isLocalEnough(): Promise<boolean> {
    const { consistency, tail, fromNow, last, start } = this.plan;
    if (consistency !== 'default') return consistency === 'local';
    if (!tail || fromNow || last !== Number.POSITIVE_INFINITY) return false;
    return start === undefined || start.id.counter <= (await lastCounterAt(this.stream, this.stream.group.commitIndex));
  }

  private async endId(end: LogIndex): Promise<EventId | undefined> {
    const last = await lastCounterAt(this.stream, end);
    const event = last === 0 ? undefined : await locate(this.stream, last);
    return event?.id;
  }

  /** Sends what is committed, from record `first` through `last`; returns the index after the last one sent. */
  private async sendThrough(range: ReadRange, first: LogIndex, last: LogIndex): Promise<LogIndex> {
    let next = first;
    while (next <= last && !this.chunks.isDone) {
      if (this.signal.aborted) throw new FlotillaError('CANCELLED', 'the reader is gone');
      if (this.turns.isDue) await this.turns.next();
      const rest = this.restOf(range);
      next = await keptFrom(this.stream, next, rest.afterCounter);
      if (next > last) break;
      next = await this.sendSome(rest, next, last);
    }
    await this.chunks.flush();
    return next;
  }

  /** One step; returns the index to go on from, which is the same one where the reader stalled within its record. */
  private async sendSome(range: ReadRange, next: LogIndex, last: LogIndex): Promise<LogIndex> {
    let at = next;
    const held = new HeldRecords(this.reading.records);
    try {
      await held.reserve(this.signal);
      const found = await this.matching.next(next, last);
      held.hold(bytesOf(found));
      if (found.kind === 'records') {
        for (const record of found.records) {
          at = record.index;
          await this.sendRecord(range, record);
        }
      } else if (found.ordered) for (const pack of found.gathered) await this.sendPacks(range, [pack]);
      else await this.sendPacks(range, found.gathered);
      return advanced(next, logIndex(found.through + 1), 'a read');
    } catch (error) {
      if (!(error instanceof ReaderStalled)) throw error;
      await this.matching.forget();
      held.release();
      await error.taken;
      return at;
    } finally {
      held.release();
    }
  }

  /** What is still to be sent of a range. */
  private restOf(range: ReadRange): ReadRange {
    const { lastCounter } = this.chunks;
    if (lastCounter === undefined) return range;
    return this.plan.backwards
      ? { ...range, beforeCounter: Math.min(range.beforeCounter, lastCounter) }
      : { ...range, afterCounter: Math.max(range.afterCounter, lastCounter) };
  }

  private async sendBackwards(range: ReadRange): Promise<void> {
    let last: LogIndex | undefined = range.last;
    while (last !== undefined) last = await this.sendSomeBackwards({ ...this.restOf(range), last });
    await this.chunks.flush();
  }

  /** Where to go on; undefined at the end. */
  private async sendSomeBackwards(range: ReadRange): Promise<LogIndex | undefined> {
    let at = range.last;
    const held = new HeldRecords(this.reading.records);
    try {
      await held.reserve(this.signal);
      for await (const record of backwardRecords(this.stream, range, this.signal)) {
        at = record.index;
        held.hold(Math.max(LIMITS.readChunkBytes, record.bytes.byteLength));
        // What retention has removed meanwhile is not there any more: the read ends where the stream begins by now.
        const { firstCounter } = this.stream.state.first;
        await this.sendRecord({ ...range, afterCounter: Math.max(range.afterCounter, firstCounter - 1) }, record);
        if (this.chunks.isDone) break;
      }
      return undefined;
    } catch (error) {
      if (!(error instanceof ReaderStalled)) throw error;
      held.release();
      await error.taken;
      return at;
    } finally {
      held.release();
    }
  }

  private async follow(range: ReadRange, first: LogIndex): Promise<void> {
    let next = first;
    while (!this.chunks.isDone) {
      await this.stream.group.waitCommitted(next, this.signal);
      const behind = await this.sendThrough(range, next, this.stream.group.commitIndex);
      if (!this.chunks.isDone) next = advanced(next, behind, 'a tail');
    }
  }

  /** Where the events of packs may lie among each other's, they go out one by one. */
  private async sendPacks(range: ReadRange, packs: readonly GatheredEvents[]): Promise<void> {
    const [pack] = packs;
    if (
      pack !== undefined &&
      packs.length === 1 &&
      pack.firstCounter > range.afterCounter &&
      pack.lastCounter < range.beforeCounter
    ) {
      return await this.chunks.addPack(pack);
    }
    await this.chunks.addSingly(eventsOfPacks(range, packs));
  }

  private async sendRecord(range: ReadRange, record: LogRecord): Promise<void> {
    const batches = batchesIn(range, record);
    if (this.plan.backwards) batches.reverse();
    for (const batch of batches) {
      if (this.chunks.isDone) return;
      this.worked += batch.bytes.byteLength;
      if (this.worked >= BYTES_AT_ONCE) {
        this.worked = 0;
        if (this.turns.isDue) await this.turns.next();
      }
      const small = batch.bytes.byteLength <= BYTES_AT_ONCE;
      const selection = small ? selectOf(range, batch) : await inTurns(this.turns, selectingOf(range, batch));
      const pending = this.chunks.add(batch, selection);
      if (pending !== undefined) await pending;
    }
  }
}

/** So much of a log is selected from between two looks at the time; the worst glob takes a millisecond for it. */
const BYTES_AT_ONCE = 8 * 1024;

function bytesOf(found: LogMatches): number {
  const parts = found.kind === 'records' ? found.records : found.gathered;
  return parts.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
}

/** The events of a range out of several packs, by their counters; undefined for an event outside of it. */
function* eventsOfPacks(range: ReadRange, packs: readonly GatheredEvents[]): Generator<Event | undefined, void, void> {
  const heads = new MinHeap<{ readonly event: Event; readonly rest: Iterator<Event> }>(
    (left, right) => left.event.id.counter - right.event.id.counter,
  );
  const push = (rest: Iterator<Event>): void => {
    const { value: event, done } = rest.next();
    if (done !== true) heads.push({ event, rest });
  };
  for (const pack of packs) push(pack.events());
  for (let head = heads.pop(); head !== undefined; head = heads.pop()) {
    const { counter } = head.event.id;
    yield counter > range.afterCounter && counter < range.beforeCounter ? head.event : undefined;
    push(head.rest);
  }
}
