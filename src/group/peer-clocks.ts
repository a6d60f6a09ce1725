import { type ActorId, LIMITS } from '../base/index.js';
import type { ClockMessage } from '../wire/index.js';
import type { Deadline, Deadlines } from './deadlines.js';
import type { Clock, LinkState } from './ports.js';

/** A clock's time of day, UTC milliseconds: no earlier and no later than this. */
export interface ClockReading {
  readonly earliestMs: number;
  readonly latestMs: number;
}

/** What a node knows of the clocks of its cluster, its own included. */
export interface ClockReadings {
  /** Clocks that are further apart do not agree. */
  readonly toleranceMs: number;
  /** How a peer's clock stands now; undefined where it was not measured lately. */
  readingOf(peer: ActorId): ClockReading | undefined;
  /** So long this node's own clock has gone as its monotonic one does: since it was set last, or the process began. */
  steadyMs(): number;
}

/** How clocks are compared; the defaults stand in LIMITS. */
export interface ClockChecks {
  readonly askMs: number;
  readonly readingMs: number;
  readonly driftRate: number;
  readonly toleranceMs: number;
}

export const CLOCK_CHECKS: ClockChecks = {
  askMs: LIMITS.clockAskMs,
  readingMs: LIMITS.clockReadingMs,
  driftRate: LIMITS.clockDriftRate,
  toleranceMs: LIMITS.clockToleranceMs,
};

/** Peers that have not been measured are asked so many times as often. */
const HASTE = 4;

interface Peer {
  /** When each question was sent (monotonic), by its id. */
  readonly asked: Map<number, number>;
  /** What its clock said, at a time of this node's monotonic one, and how far off that may be. */
  measured?: { readonly utcMs: number; readonly atMs: number; readonly errorMs: number };
}

/**
 * Measures the clocks of the peers with an open link as NTP does: asks for the
 * time, and takes the answer for that of half the round trip ago, give or take as
 * much. A peer's time is kept against this node's monotonic clock, so that setting
 * this node's own time of day changes nothing of it. It is forgotten when the
 * link is lost, and when it was not measured for a while: a clock that can't be
 * asked may have been set.
 */
export class PeerClocks implements ClockReadings {
  private readonly options: {
    readonly clock: Clock;
    readonly checks: ClockChecks;
    readonly ask: (peer: ActorId, question: ClockMessage) => void;
  };
  private readonly deadline: Deadline;
  private listener: () => void = () => undefined;
  private readonly peers = new Map<ActorId, Peer>();
  private lastQuestion: number;
  /** Own time of day less monotonic time, when it was looked at last, and since when it has been that. */
  private own: { readonly offsetMs: number; readonly sinceMs: number };
  private step: { readonly byMs: number; readonly atMs: number } | undefined;

  constructor(options: PeerClocks['options'] & { readonly deadlines: Deadlines }) {
    this.options = options;
    const nowMs = options.clock.nowMs();
    // An answer that was meant for an earlier process of this node has another id.
    this.lastQuestion = options.clock.utcMs();
    this.own = { offsetMs: options.clock.utcMs() - nowMs, sinceMs: nowMs };
    this.deadline = options.deadlines.add(() => this.onDue());
  }

  /** Calls `listener` once a round, and when a peer is measured that was not before. There is one listener. */
  listen(listener: () => void): void {
    this.listener = listener;
  }

  get toleranceMs(): number {
    return this.options.checks.toleranceMs;
  }

  start(): void {
    this.onDue();
  }

  stop(): void {
    this.deadline.cancel();
  }

  onLink(peer: ActorId, state: LinkState): void {
    if (state !== 'open') {
      this.peers.delete(peer);
      return;
    }
    const known: Peer = this.peers.get(peer) ?? { asked: new Map() };
    this.peers.set(peer, known);
    this.ask(peer, known);
    this.plan();
  }

  answered(from: ActorId, requestId: number, utcMs: number): void {
    const peer = this.peers.get(from);
    const sentMs = peer?.asked.get(requestId);
    if (peer === undefined || sentMs === undefined) return;
    peer.asked.delete(requestId);
    const atMs = this.options.clock.nowMs();
    const halfMs = (atMs - sentMs) / 2;
    const wasUnknown = this.readingOf(from) === undefined;
    // A clock is read in whole milliseconds.
    peer.measured = { utcMs: utcMs + halfMs, atMs, errorMs: halfMs * (1 + 2 * this.options.checks.driftRate) + 1 };
    if (wasUnknown) this.listener();
  }

  readingOf(peer: ActorId): ClockReading | undefined {
    const measured = this.peers.get(peer)?.measured;
    if (measured === undefined) return undefined;
    const { clock, checks } = this.options;
    const ageMs = clock.nowMs() - measured.atMs;
    if (ageMs > checks.readingMs) return undefined;
    const errorMs = measured.errorMs + ageMs * checks.driftRate;
    const utcMs = measured.utcMs + ageMs;
    return { earliestMs: utcMs - errorMs, latestMs: utcMs + errorMs };
  }

  /** How far the peers' clocks are ahead of this node's own, as far as they were measured. */
  skewsMs(): Map<ActorId, number> {
    const ownMs = this.options.clock.utcMs();
    const skews = new Map<ActorId, number>();
    for (const peer of this.peers.keys()) {
      const reading = this.readingOf(peer);
      if (reading !== undefined) skews.set(peer, (reading.earliestMs + reading.latestMs) / 2 - ownMs);
    }
    return skews;
  }

  steadyMs(): number {
    const nowMs = this.options.clock.nowMs();
    const offsetMs = this.options.clock.utcMs() - nowMs;
    const byMs = offsetMs - this.own.offsetMs;
    const wasSet = Math.abs(byMs) > this.toleranceMs;
    if (wasSet) this.step = { byMs, atMs: nowMs };
    // What an NTP client corrects little by little is no step.
    this.own = { offsetMs, sinceMs: wasSet ? nowMs : this.own.sinceMs };
    return nowMs - this.own.sinceMs;
  }

  /** When this node's own clock was set last, and by how much: positive where ahead. */
  get lastStep(): { readonly byMs: number; readonly agoMs: number } | undefined {
    return this.step && { byMs: this.step.byMs, agoMs: this.options.clock.nowMs() - this.step.atMs };
  }

  private onDue(): void {
    this.steadyMs();
    for (const [actor, peer] of this.peers) this.ask(actor, peer);
    this.plan();
    this.listener();
  }

  private ask(actor: ActorId, { asked }: Peer): void {
    const requestId = ++this.lastQuestion;
    asked.set(requestId, this.options.clock.nowMs());
    const [oldest] = asked.keys();
    if (asked.size > LIMITS.clockQuestions && oldest !== undefined) asked.delete(oldest);
    this.options.ask(actor, { type: 'clock-request', requestId });
  }

  private plan(): void {
    const { clock, checks } = this.options;
    const isHasty = [...this.peers.keys()].some((peer) => this.readingOf(peer) === undefined);
    this.deadline.set(clock.nowMs() + (isHasty ? checks.askMs / HASTE : checks.askMs));
  }
}
