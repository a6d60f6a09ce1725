import { type ActorId, actorId, type Random, seededRandom } from '../base/index.js';
import type { ClockChecks } from '../group/index.js';
import { type Configuration, majorityOf } from '../raft/index.js';
import type { EventQueue } from './event-queue.js';
import type { Figures } from './figures.js';
import { Births, type TrueTime } from './invariants/index.js';

const DAY_MS = 24 * 60 * 60 * 1000;
/** So far a clock is off that counts as right. */
const JITTER_MS = 20;

/** The monotonic clocks of two hosts part by up to a quarter, which readings have to allow for. */
export const SIMULATED_CLOCK_CHECKS: ClockChecks = { askMs: 600, readingMs: 3000, driftRate: 0.25, toleranceMs: 500 };

/**
 * Times of day: right, but those of a minority of the founders, which are set to
 * days ahead or behind and back again while processes run. A host with a wrong
 * clock stays one for the whole run, right as it may be in between: so what was
 * measured of it shortly before says nothing of a right one. Draws from a random
 * stream of its own.
 */
export class ClockFaults implements TrueTime {
  readonly births = new Births();
  readonly errorMs = SIMULATED_CLOCK_CHECKS.toleranceMs + 4 * JITTER_MS;
  private readonly random: Random;
  private readonly wrong = new Map<ActorId, number>();
  private readonly queue: EventQueue;
  private readonly figures: Figures;
  private calm = false;

  constructor(options: {
    readonly seed: number;
    readonly founders: number;
    readonly queue: EventQueue;
    readonly figures: Figures;
  }) {
    this.random = seededRandom((options.seed ^ 0x5eed_c10c) >>> 0);
    this.queue = options.queue;
    this.figures = options.figures;
    const most = majorityOf(options.founders) - 1;
    const count = this.random() < 0.3 ? 0 : 1 + Math.floor(this.random() * most);
    const first = Math.floor(this.random() * options.founders);
    for (let chosen = 0; chosen < count; chosen++)
      this.wrong.set(actorId(1 + ((first + chosen) % options.founders)), 0);
  }

  begin(): void {
    if (this.wrong.size > 0) this.act();
  }

  /** All are right from now on. */
  end(): void {
    this.calm = true;
    for (const actor of this.wrong.keys()) this.wrong.set(actor, 0);
  }

  nowMs(): number {
    return this.queue.nowMs;
  }

  agedOut(): void {
    this.figures.agedOut++;
  }

  /** How far a host's time of day is ahead of the true one. */
  offsetMs(actor: ActorId): number {
    const jitterMs = ((actor * 7919) % (2 * JITTER_MS)) - JITTER_MS;
    return jitterMs + (this.wrong.get(actor) ?? 0);
  }

  areJudges({ voters, outgoing }: Configuration): boolean {
    const judge = (half: readonly ActorId[]): boolean =>
      half.filter((actor) => this.wrong.has(actor)).length < majorityOf(half.length);
    return judge(voters) && (outgoing.length === 0 || judge(outgoing));
  }

  /** What is said about clocks gets lost and is late as everything else, and changes nothing of what does. */
  carry(deliver: () => void): void {
    if (!this.calm && this.random() < 0.05) return;
    const isLate = !this.calm && this.random() < 0.03;
    this.queue.after(isLate ? 20 + this.random() * 1000 : 1 + this.random() * 10, deliver);
  }

  private act(): void {
    if (this.calm) return;
    this.queue.after(200 + this.random() * 3000, () => this.act());
    const actors = [...this.wrong.keys()];
    const actor = actors[Math.floor(this.random() * actors.length)];
    if (actor === undefined) return;
    this.wrong.set(actor, this.nextOffsetMs());
    this.figures.clocksSet++;
  }

  private nextOffsetMs(): number {
    const kind = this.random();
    if (kind < 0.2) return 0;
    const sign = this.random() < 0.6 ? 1 : -1;
    return Math.floor(sign * (kind < 0.35 ? this.random() * 10_000 : (1 + this.random() * 60) * DAY_MS));
  }
}
