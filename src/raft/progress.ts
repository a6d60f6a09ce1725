import { assert, type LogIndex, logIndex } from '../base/index.js';
import type { DiskPressure } from './types.js';

/** How far the leader may run ahead of a follower's acknowledgements. */
export interface ReplicationWindow {
  readonly bytes: number;
  readonly messages: number;
}

interface InFlight {
  readonly lastIndex: LogIndex;
  readonly bytes: number;
}

/**
 * What a leader knows of one follower. In `probe` it looks for the place where
 * the logs meet, one message at a time; in `replicate` it streams ahead of the
 * acknowledgements, as far as the window allows; in `snapshot` it waits until
 * the follower has what stands before the log's begin.
 */
export class Progress {
  state: 'probe' | 'replicate' | 'snapshot' = 'probe';
  /** The follower holds everything up to here durably. Never goes back within a term. */
  matchIndex: LogIndex = logIndex(0);
  /** The next entry to send. */
  nextIndex: LogIndex;
  /** Messages can reach the follower. */
  linkOpen: boolean;
  lastHeardMs: number;
  /** The latest heartbeat round that the follower answered. */
  confirmedRound = 0;
  /** Its disk, as it reported last. */
  diskPressure: DiskPressure = 'ok';
  /** The highest commit index that the follower was told. */
  commitIndexSent: LogIndex = logIndex(0);
  /** A learner's: it has shown that it keeps up with the log. */
  keepsUp = false;
  private catchUpRound: { readonly through: LogIndex; readonly sinceMs: number };
  private probeSentAtMs: number | undefined;
  /** The snapshot under way: the entry that it ends with, and when the follower last spoke of it. */
  private snapshot: { readonly index: LogIndex; heardMs: number } | undefined;
  /** The next entry holds events, and it takes none for now. */
  private refusedIndex: LogIndex | undefined;
  private inFlight: InFlight[] = [];
  /** Since when the oldest message in flight is the next one to be answered. */
  private unansweredSinceMs = 0;
  private inFlightBytes = 0;

  constructor(nextIndex: LogIndex, nowMs: number, linkOpen: boolean) {
    this.nextIndex = nextIndex;
    this.lastHeardMs = nowMs;
    this.linkOpen = linkOpen;
    this.catchUpRound = { through: logIndex(nextIndex - 1), sinceMs: nowMs };
  }

  mayAppend(window: ReplicationWindow): boolean {
    if (!this.linkOpen || this.state === 'snapshot' || this.nextIndex === this.refusedIndex) return false;
    if (this.state === 'probe') return this.probeSentAtMs === undefined;
    return this.inFlight.length < window.messages && this.inFlightBytes < window.bytes;
  }

  sent(lastIndex: LogIndex, bytes: number, nowMs: number): void {
    if (this.state === 'probe') {
      this.probeSentAtMs = nowMs;
      return;
    }
    assert(lastIndex >= this.nextIndex, 'what is sent in a pipeline lies ahead');
    if (this.inFlight.length === 0) this.unansweredSinceMs = nowMs;
    this.inFlight.push({ lastIndex, bytes });
    this.inFlightBytes += bytes;
    this.nextIndex = logIndex(lastIndex + 1);
  }

  /** The follower holds everything up to `index`. */
  acknowledged(index: LogIndex, nowMs: number): void {
    if (index > this.matchIndex) {
      this.matchIndex = index;
      this.unansweredSinceMs = nowMs;
    }
    while (this.inFlight[0] !== undefined && this.inFlight[0].lastIndex <= index) {
      this.inFlightBytes -= this.inFlight[0].bytes;
      this.inFlight.shift();
    }
    if (this.snapshot !== undefined && this.matchIndex < this.snapshot.index) return;
    if (this.state !== 'replicate') {
      this.state = 'replicate';
      this.probeSentAtMs = undefined;
      this.snapshot = undefined;
      this.nextIndex = logIndex(this.matchIndex + 1);
    } else if (this.nextIndex <= this.matchIndex) {
      this.nextIndex = logIndex(this.matchIndex + 1);
    }
  }

  /**
   * A learner catches up in rounds (dissertation, section 4.2.1): each is over
   * when it holds what the log held when the round began. The first round that
   * takes no longer than an election time-out shows that it would not hold up
   * a majority.
   */
  measureCatchUp(lastIndex: LogIndex, nowMs: number, electionTimeoutMs: number): void {
    while (!this.keepsUp && this.matchIndex >= this.catchUpRound.through) {
      this.keepsUp = nowMs - this.catchUpRound.sinceMs <= electionTimeoutMs;
      this.catchUpRound = { through: lastIndex, sinceMs: nowMs };
    }
  }

  /** What the follower needs next stands at or before the log's begin. */
  needsSnapshot(beginIndex: LogIndex): boolean {
    return this.linkOpen && this.state !== 'snapshot' && this.nextIndex <= beginIndex;
  }

  /** Sends no entries until the follower holds everything up to `index`. */
  snapshotBegun(index: LogIndex, nowMs: number): void {
    this.probeFrom(this.nextIndex);
    this.state = 'snapshot';
    this.snapshot = { index, heardMs: nowMs };
  }

  /** Whether this snapshot is under way. */
  isTakingSnapshot(index: LogIndex): boolean {
    return this.snapshot?.index === index;
  }

  snapshotHeard(nowMs: number): void {
    if (this.snapshot !== undefined) this.snapshot.heardMs = nowMs;
  }

  /** Looks again for the place where the logs meet, from `nextIndex` on. */
  probeFrom(nextIndex: LogIndex): void {
    this.state = 'probe';
    this.probeSentAtMs = undefined;
    this.snapshot = undefined;
    this.inFlight = [];
    this.inFlightBytes = 0;
    this.nextIndex = logIndex(Math.max(nextIndex, this.matchIndex + 1));
  }

  /** Its disk takes no entry after what it holds: nothing is sent until it does, or it turns out to hold more. */
  entryRefused(): void {
    this.restart();
    this.refusedIndex = this.nextIndex;
  }

  entriesWelcome(): void {
    if (this.refusedIndex === undefined) return;
    this.refusedIndex = undefined;
    this.restart();
  }

  /** Whatever was on its way may be lost. */
  restart(): void {
    this.probeFrom(logIndex(this.matchIndex + 1));
  }

  /**
   * The follower is up, but has acknowledged nothing new since `beforeMs`: what is in flight may be lost, for a link
   * drops what it can't hold. Sends it again. Age alone proves nothing: a slow follower works off a full window in its
   * own time, and sending all of that twice would make it slower still.
   */
  repeatUnanswered(beforeMs: number): void {
    const pipelined = this.inFlight.length > 0 ? this.unansweredSinceMs : undefined;
    const sinceMs = this.snapshot?.heardMs ?? (this.state === 'probe' ? this.probeSentAtMs : pipelined);
    if (sinceMs !== undefined && sinceMs < beforeMs) this.restart();
  }

  /** Whether a refusal of `index` answers what was sent last, and not something older. */
  isCurrentRefusal(index: LogIndex): boolean {
    if (this.state === 'snapshot') return false;
    return this.state === 'replicate' ? index > this.matchIndex : index === this.nextIndex - 1;
  }
}
