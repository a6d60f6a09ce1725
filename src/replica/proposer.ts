import {
  type ActorId,
  assert,
  BoundedQueue,
  counter,
  FlotillaError,
  LIMITS,
  type LogIndex,
  messageOf,
} from '../base/index.js';
import { BATCH_HEADER_BYTES, type ProducerStamp, writeBatchHeader } from '../event/index.js';
import { isVoter, type RaftCore } from '../raft/index.js';
import type { LogTail, PackedBody } from '../wire/index.js';
import type { Forwarder } from './forwarder.js';
import type { GroupTime, TimeStamp } from './group-time.js';
import type { HotLog } from './hot-log.js';
import type { ReplicaObserver } from './observer.js';
import type { Clock, Proposed } from './ports.js';
import type { ProducerDesk } from './producer-desk.js';
import { PendingProposals, type Proposal } from './proposals.js';
import type { ReadIndexes } from './read-indexes.js';
import { notLeader, refusalForRoom } from './refusals.js';

export interface ProposerOptions {
  readonly self: ActorId;
  readonly core: RaftCore;
  readonly log: HotLog;
  readonly clock: Clock;
  readonly time: GroupTime;
  readonly observer: ReplicaObserver;
  readonly desk: ProducerDesk;
  readonly readIndexes: ReadIndexes;
  readonly onProposed: () => void;
  readonly forwarder: Forwarder;
}

/**
 * Takes batches into the leader's log. Everything that arrives within one turn
 * of the event loop shares an entry; nothing waits for more to come.
 */
export class Proposer {
  private readonly self: ActorId;
  private readonly core: RaftCore;
  private readonly log: HotLog;
  private readonly clock: Clock;
  private readonly time: GroupTime;
  private readonly observer: ReplicaObserver;
  private readonly desk: ProducerDesk;
  private readonly readIndexes: ReadIndexes;
  private readonly onProposed: () => void;
  private readonly forwarder: Forwarder;
  private readonly waiting = new BoundedQueue<Proposal>(LIMITS.pendingProposals);
  /** Batches whose fate is open, in the log or on their way there. */
  private openBatches = 0;
  private openBytes = 0;
  private flushPlanned = false;
  private readonly pending = new PendingProposals();
  /** Batches that can be decided about when a record has taken effect, in the order in which they came. */
  private deferred: { readonly proposal: Proposal; readonly index: LogIndex }[] = [];
  private isHandingOver = false;
  /** Leadership was handed over, and it is not known yet who leads: batches of this node wait for that. */
  awaitsSuccessor = false;
  private isLeaving = false;
  private stopped = false;

  constructor(options: ProposerOptions) {
    this.self = options.self;
    this.core = options.core;
    this.log = options.log;
    this.clock = options.clock;
    this.time = options.time;
    this.observer = options.observer;
    this.desk = options.desk;
    this.readIndexes = options.readIndexes;
    this.onProposed = options.onProposed;
    this.forwarder = options.forwarder;
  }

  propose(actor: ActorId, body: PackedBody, stamp: ProducerStamp): Promise<Proposed> {
    return new Promise((resolve, reject) => {
      if (this.stopped) return reject(stopping());
      if (this.core.role !== 'leader' && !(this.awaitsSuccessor && actor === this.self))
        return reject(notLeader('the batch'));
      const refusal = this.refusalForRoom();
      if (refusal !== undefined) return reject(refusal);
      const bytes = body.body.byteLength;
      if (this.openBatches >= LIMITS.pendingProposals || this.openBytes + bytes > LIMITS.pendingProposalBytes) {
        return reject(
          new FlotillaError(
            'TOO_MANY_REQUESTS',
            'too many batches wait for their commit; the batch was not proposed: try again',
          ),
        );
      }
      this.openBatches++;
      this.openBytes += bytes;
      this.enqueue({
        body,
        stamp,
        isConfirmed: false,
        actor,
        arrivedMs: this.clock.nowMs(),
        resolve: (proposed) => {
          this.closed(bytes);
          resolve(proposed);
        },
        reject: (error) => {
          this.closed(bytes);
          reject(error);
        },
      });
    });
  }

  /** Where there is no room for more, on this disk or those of a majority. */
  private refusalForRoom(): FlotillaError | undefined {
    const refusal = refusalForRoom(this.core, 'the batch');
    // Leadership may be on its way to a node that has room, and the others are asked how they stand.
    if (refusal !== undefined) this.planFlush();
    return refusal;
  }

  private closed(bytes: number): void {
    this.openBatches--;
    this.openBytes -= bytes;
  }

  private enqueue(proposal: Proposal): void {
    assert(this.waiting.push(proposal), 'no more wait than are open');
    this.planFlush();
  }

  private planFlush(): void {
    if (this.flushPlanned) return;
    this.flushPlanned = true;
    this.clock.soon(() => {
      this.flushPlanned = false;
      this.onProposed();
    });
  }

  /**
   * Turns what waits into entries, as long as the disk keeps up; the rest follows when a write has ended. While
   * leadership is handed over all of it waits, and then goes to the successor: who produces by way of this node is not
   * refused.
   */
  flush(): void {
    if (this.core.role !== 'leader') return;
    const wasHandingOver = this.isHandingOver;
    this.isHandingOver = this.core.isHandingOver;
    if (this.isHandingOver) return;
    if (wasHandingOver && this.isLeaving) this.refuseWaiting(stopping());
    if (this.flushPlanned) return;
    while (this.waiting.length > 0 && this.isDiskOk()) {
      // A new leader that has not seen the clocks of a majority yet can't tell what time it is: that takes a round
      // trip.
      const stamp = this.time.stamp();
      if (stamp === undefined) return;
      const refusal = this.refusalForRoom();
      if (refusal === undefined && this.nextToAppend() === undefined) return;
      const index = refusal === undefined ? this.core.propose(this.clock.nowMs()) : undefined;
      if (index === undefined) this.refuseWaiting(refusal ?? notLeader('the batch'));
      else this.append(index, this.takeEntry(index), stamp);
    }
  }

  /** Records up to `index` have taken effect: more can be decided. */
  applied(index: LogIndex): void {
    this.desk.applied(index);
    if (!this.deferred.some((each) => each.index <= index)) return;
    const ready = this.deferred.filter((each) => each.index <= index);
    this.deferred = this.deferred.filter((each) => each.index > index);
    // They came before what waits now.
    for (const proposal of [...ready.map((each) => each.proposal), ...this.waiting.drain()]) this.enqueue(proposal);
  }

  private isDiskOk(): boolean {
    return this.log.bytesAfter(this.core.durableIndex) < LIMITS.unpersistedBytes;
  }

  /**
   * The first that waits and is to have a place in the log. Those before it get their answer without one, or wait for
   * that elsewhere.
   */
  private nextToAppend(): Proposal | undefined {
    for (let next = this.waiting.peek(); next !== undefined; next = this.waiting.peek()) {
      const { stamp, body } = next;
      if (stamp.producer === 0 || this.core.role !== 'leader') return next;
      const decision = this.desk.decide(stamp, body);
      if (decision.kind === 'append') return next;
      this.waiting.shift();
      if (decision.kind === 'wait') this.deferred.push({ proposal: next, index: decision.index });
      else if (decision.kind === 'known') this.answerAgain(next, decision.batch);
      else if (decision.isCertain || next.isConfirmed) next.reject(decision.error);
      else void this.confirm(next);
    }
    return undefined;
  }

  /** Then it is decided again. */
  private async confirm(proposal: Proposal): Promise<void> {
    try {
      // A question is a turn of its own, and this one is not over.
      await new Promise<void>((resolve) => this.clock.soon(resolve));
      const index = await this.readIndexes.confirm();
      if (this.core.role !== 'leader') return proposal.reject(notLeader('the batch'));
      this.deferred.push({ proposal: { ...proposal, isConfirmed: true }, index });
      this.planFlush();
    } catch (cause) {
      const message = `the leader could not confirm that it still leads; the batch was not proposed: ${messageOf(cause)}`;
      proposal.reject(new FlotillaError(cause instanceof FlotillaError ? cause.code : 'INTERNAL', message, { cause }));
    }
  }

  private answerAgain({ resolve }: Proposal, batch: Proposed): void {
    this.observer.knownAgain?.();
    resolve(batch);
  }

  /** What fits into one entry: at least one batch. */
  private takeEntry(index: LogIndex): Proposal[] {
    const taken: Proposal[] = [];
    let bytes = 0;
    for (let next = this.nextToAppend(); next !== undefined; next = this.nextToAppend()) {
      bytes += BATCH_HEADER_BYTES + next.body.body.byteLength;
      if (taken.length > 0 && bytes > LIMITS.entryBytes) break;
      taken.push(next);
      this.waiting.shift();
      if (next.stamp.producer !== 0) this.desk.appended(next.stamp, index);
    }
    return taken;
  }

  private append(index: LogIndex, proposals: readonly Proposal[], { timestampMs, appendedMs }: TimeStamp): void {
    const { term } = this.core;
    const payloadBytes = proposals.reduce((sum, { body }) => sum + BATCH_HEADER_BYTES + body.body.byteLength, 0);
    const eventCount = proposals.reduce((sum, { body }) => sum + body.count, 0);
    const record = this.log.seal({ kind: 'events', term, eventCount, payloadBytes, appendedMs }, (payload, tail) =>
      writeBatches(payload, tail, proposals, timestampMs),
    );
    this.pending.add({ index, term, firstCounter: record.firstCounter, proposals });
  }

  committed(index: LogIndex): void {
    const nowMs = this.clock.nowMs();
    const areAllCommitted = this.pending.settle(
      index,
      (place) => this.core.termAt(place),
      (proposal) => this.observer.committed((nowMs - proposal.arrivedMs) / 1000),
    );
    if (!areAllCommitted) this.refuseWaiting(notLeader('the batch'));
  }

  /** `lost`: this node led, and that term is over. */
  roleChanged(lost: boolean): void {
    if (lost) this.leadershipLost();
    if (this.core.role === 'leader') this.awaitsSuccessor = false;
    else if (this.awaitsSuccessor && this.core.leader !== undefined) this.passOn();
  }

  /**
   * What is in the log may still be committed by the next leader; for a while that is waited for. What is not, never
   * was proposed.
   */
  private leadershipLost(): void {
    // Nothing may overtake what came before it and is open. And who votes no more hears of no successor.
    const isAllSettled = this.pending.isEmpty && this.deferred.length === 0;
    this.awaitsSuccessor = this.isHandingOver && isAllSettled && isVoter(this.core.configuration, this.self);
    this.isHandingOver = false;
    this.refuseWaiting(notLeader('the batch'), ({ actor }) => !this.awaitsSuccessor || actor !== this.self);
    this.clock.after(LIMITS.outcomeWaitMs, () => {
      if (this.stopped) return;
      this.awaitsSuccessor = false;
      if (this.core.role !== 'leader') this.refuseWaiting(notLeader('the batch'));
      const unknown = this.pending.giveUpBefore(
        this.core.role === 'leader' ? this.core.term : Number.POSITIVE_INFINITY,
      );
      if (unknown > 0) this.observer.outcomeUnknown(unknown);
    });
  }

  private passOn(): void {
    this.awaitsSuccessor = false;
    for (const { body, stamp, resolve, reject } of this.waiting.drain())
      this.forwarder.forward(body, stamp).then(resolve, reject);
  }

  /** The node is about to stop: what waits for a successor that does not come has no other chance here. */
  leave(): void {
    this.isLeaving = true;
  }

  stop(): void {
    this.stopped = true;
    this.refuseWaiting(stopping());
    const unknown = this.pending.giveUpBefore(Number.POSITIVE_INFINITY);
    if (unknown > 0) this.observer.outcomeUnknown(unknown);
  }

  /**
   * None of them was proposed: neither those that were not looked at yet, nor those whose answer rests on what may
   * never be committed.
   */
  private refuseWaiting(why: FlotillaError, isRefused: (proposal: Proposal) => boolean = () => true): void {
    const waiting = [...this.deferred.splice(0).map(({ proposal }) => proposal), ...this.waiting.drain()];
    for (const proposal of waiting) {
      if (isRefused(proposal)) proposal.reject(why);
      else this.enqueue(proposal);
    }
  }
}

function stopping(): FlotillaError {
  return new FlotillaError('SHUTTING_DOWN', 'the node is stopping; the batch was not proposed');
}

function writeBatches(payload: Buffer, tail: LogTail, proposals: readonly Proposal[], timestampMs: number): void {
  let offset = 0;
  let baseCounter: number = tail.nextCounter;
  for (const { body: packed, stamp, actor } of proposals) {
    writeBatchHeader(payload, offset, {
      flags: 0,
      actor,
      count: packed.count,
      baseCounter: counter(baseCounter),
      timestampMs,
      ...stamp,
      bodyLength: packed.body.byteLength,
      bodyChecksum: packed.checksum,
    });
    payload.set(packed.body, offset + BATCH_HEADER_BYTES);
    offset += BATCH_HEADER_BYTES + packed.body.byteLength;
    baseCounter += packed.count;
  }
}
