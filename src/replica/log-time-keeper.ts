import { FlotillaError } from '../base/index.js';
import type { RaftCore } from '../raft/index.js';
import { type GroupTime, trustMs } from './group-time.js';
import type { HotLog } from './hot-log.js';
import type { Members } from './members.js';
import type { Clock } from './ports.js';
import type { StreamState } from './stream-state.js';

export interface LogTimeKeeperOptions {
  readonly core: RaftCore;
  readonly log: HotLog;
  readonly stream: StreamState;
  readonly members: Members;
  readonly time: GroupTime;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}

/**
 * Sets log time back where it lies in the future: clocks were wrong when it was
 * told, be it a cluster's only one or a majority of them. Without it nothing would
 * get too old until then. It waits for a while, because it is as likely that the
 * clocks are wrong now, and then every event would look too old once they are not.
 */
export class LogTimeKeeper {
  private readonly options: LogTimeKeeperOptions;
  /** Monotonic: since when log time has been found to be ahead. */
  private aheadSinceMs: number | undefined;
  private isProposing = false;

  constructor(options: LogTimeKeeperOptions) {
    this.options = options;
  }

  /** Looks whether log time is ahead; called every now and then. */
  check(): void {
    const { stream, time, clock } = this.options;
    const nowMs = clock.nowMs();
    if (!this.isAhead) {
      this.aheadSinceMs = undefined;
      return;
    }
    this.aheadSinceMs ??= nowMs;
    if (this.isProposing || nowMs - this.aheadSinceMs < trustMs(stream.settings?.maxAgeMs)) return;
    const latestMs = time.now()?.latestMs;
    if (latestMs !== undefined) void this.setBack(Math.ceil(latestMs));
  }

  private get isAhead(): boolean {
    const { core, log, time } = this.options;
    const knowsWhatIsCommitted =
      core.role === 'leader' && core.commitIndex >= (core.noopIndex ?? Number.POSITIVE_INFINITY);
    if (!knowsWhatIsCommitted) return false;
    const now = time.now();
    return now !== undefined && log.tail.timeMs > now.latestMs + time.toleranceMs;
  }

  private async setBack(timeMs: number): Promise<void> {
    this.isProposing = true;
    try {
      await this.options.stream.propose('log-time', new Uint8Array(0), { appendedMs: timeMs });
    } catch (error) {
      // Another leader may have done it; if not, the next look does.
      if (!(error instanceof FlotillaError)) this.options.onError(error);
    }
    this.isProposing = false;
  }
}
