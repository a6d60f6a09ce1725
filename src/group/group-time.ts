import type { ActorId } from '../base/index.js';
import { LIMITS } from '../base/index.js';
import { type Configuration, majorityOf } from '../raft/index.js';
import type { ClockReading, ClockReadings } from './peer-clocks.js';
import type { Clock } from './ports.js';

/** What a leader puts into the log as the time, UTC milliseconds. */
export interface TimeStamp {
  /** What events bear. */
  readonly timestampMs: number;
  /** What is certainly not earlier, as long as a majority's clocks are right: log time. */
  readonly appendedMs: number;
}

const RECENT_MS = 100;

/** How this node's clock stands to those of a group's voters. */
export type ClockVerdict =
  /** Fewer than a majority could be asked lately. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'agreed' }
  /** It is off the time that a majority agrees on by so much; positive: ahead. */
  | { readonly kind: 'off'; readonly byMs: number }
  /** Those that could be asked are so far apart that no majority agrees on a time. */
  | { readonly kind: 'divided'; readonly apartMs: number };

/**
 * The time of one group, by the clocks of its voters as this node has measured them. As with a commit index, a majority
 * decides: it is at least what a majority's clocks have reached, and at most what a majority's have not passed. Voters
 * that could not be asked count on neither side. As long as every majority has one right clock in it, the time is
 * between the two, whatever the other clocks say. See docs/adr/0001-clocks.md.
 */
export class GroupTime {
  private readonly self: ActorId;
  private readonly clock: Clock;
  private readonly clocks: ClockReadings;
  private readonly configuration: () => Configuration;
  private recent:
    | {
        readonly configuration: Configuration;
        readonly atMs: number;
        readonly ownMs: number;
        readonly now: ClockReading;
      }
    | undefined;

  constructor(options: {
    readonly self: ActorId;
    readonly clock: Clock;
    readonly clocks: ClockReadings;
    readonly core: { readonly configuration: Configuration };
  }) {
    this.self = options.self;
    this.clock = options.clock;
    this.clocks = options.clocks;
    this.configuration = () => options.core.configuration;
  }

  get toleranceMs(): number {
    return this.clocks.toleranceMs;
  }

  /** Undefined where fewer than a majority of the voters were measured lately. */
  now(): ClockReading | undefined {
    const { voters, outgoing } = this.configuration();
    const incoming = this.agreedBy(voters);
    if (incoming === undefined || outgoing.length === 0) return incoming;
    const other = this.agreedBy(outgoing);
    if (other === undefined) return undefined;
    return {
      earliestMs: Math.min(incoming.earliestMs, other.earliestMs),
      latestMs: Math.max(incoming.latestMs, other.latestMs),
    };
  }

  /**
   * What the leader stamps with now; undefined where {@link now} is. Events bear its
   * own time unless that is off. Where the clocks do not agree, log time goes by
   * the latest: what counts as younger than it is, is kept longer, and no harm is done.
   */
  stamp(): TimeStamp | undefined {
    const ownMs = this.clock.utcMs();
    const now = this.recently(ownMs);
    if (now === undefined) return undefined;
    const { earliestMs, latestMs } = now;
    const nearestMs = Math.ceil(Math.min(Math.max(ownMs, earliestMs), latestMs));
    const timestampMs = Math.abs(ownMs - nearestMs) > this.toleranceMs ? nearestMs : ownMs;
    return { timestampMs, appendedMs: latestMs - earliestMs > this.toleranceMs ? Math.ceil(latestMs) : nearestMs };
  }

  /**
   * The time that it certainly is by now, for giving up what is older than `maxAgeMs`; undefined where nothing may be
   * given up. A sole voter has no other node to ask: its clock has to have gone steadily for as long as the age, or
   * {@link LIMITS.clockTrustMs}.
   */
  reachedMs(maxAgeMs: number): number | undefined {
    const { voters, outgoing } = this.configuration();
    const isAlone = voters.length === 1 && outgoing.length === 0;
    if (isAlone && this.clocks.steadyMs() < trustMs(maxAgeMs)) return undefined;
    return this.now()?.earliestMs;
  }

  get verdict(): ClockVerdict {
    const now = this.now();
    if (now === undefined) return { kind: 'unknown' };
    const { earliestMs, latestMs } = now;
    const ownMs = this.clock.utcMs();
    if (ownMs - latestMs > this.toleranceMs) return { kind: 'off', byMs: ownMs - latestMs };
    if (earliestMs - ownMs > this.toleranceMs) return { kind: 'off', byMs: ownMs - earliestMs };
    const apartMs = latestMs - earliestMs;
    return apartMs > this.toleranceMs ? { kind: 'divided', apartMs } : { kind: 'agreed' };
  }

  /** The same as {@link now}, found out anew a few times a second only: it is asked for each entry. */
  private recently(ownMs: number): ClockReading | undefined {
    const { recent, clock } = this;
    const atMs = clock.nowMs();
    const configuration = this.configuration();
    if (recent !== undefined && recent.configuration === configuration) {
      const passedMs = atMs - recent.atMs;
      const isSteady = Math.abs(ownMs - recent.ownMs - passedMs) < 2;
      if (isSteady && passedMs < RECENT_MS)
        return { earliestMs: recent.now.earliestMs + passedMs, latestMs: recent.now.latestMs + passedMs };
    }
    const now = this.now();
    this.recent = now && { configuration, atMs, ownMs, now };
    return now;
  }

  private agreedBy(voters: readonly ActorId[]): ClockReading | undefined {
    const readings = voters.flatMap((voter) => this.readingOf(voter) ?? []);
    const majority = majorityOf(voters.length);
    const [earliestMs] = readings
      .map((reading) => reading.earliestMs)
      .sort((a, b) => b - a)
      .slice(majority - 1);
    const [latestMs] = readings
      .map((reading) => reading.latestMs)
      .sort((a, b) => a - b)
      .slice(majority - 1);
    return earliestMs === undefined || latestMs === undefined ? undefined : { earliestMs, latestMs };
  }

  private readingOf(voter: ActorId): ClockReading | undefined {
    if (voter !== this.self) return this.clocks.readingOf(voter);
    const ownMs = this.clock.utcMs();
    return { earliestMs: ownMs, latestMs: ownMs };
  }
}

/**
 * How long what can't be checked against another clock has to stay as it is before something irreversible is done by
 * it.
 */
export function trustMs(maxAgeMs: number = LIMITS.clockTrustMs): number {
  return Math.min(maxAgeMs, LIMITS.clockTrustMs);
}
