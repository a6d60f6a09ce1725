import { FlotillaError } from '../base/index.js';
import { type Clock, trustMs } from '../group/index.js';
import { logTimeCommand } from '../machine/stream/index.js';
import type { StreamGroup } from './stream-group.js';
import type { StreamState } from './stream-state.js';

export interface LogTimeKeeperOptions {
  readonly group: StreamGroup;
  readonly state: StreamState;
  readonly clock: Clock;
  readonly onFatal: (error: unknown) => void;
}

/**
 * Sets log time back where it lies in the future: clocks were wrong when it was told, those of a majority or of a
 * cluster's only node. If log time stayed there, nothing would get too old until then. It waits for a while, because it
 * is as likely that the clocks are wrong now, and then every event would look too old once they are not.
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
    const { group, state, clock } = this.options;
    const nowMs = clock.nowMs();
    if (!this.isAhead) {
      this.aheadSinceMs = undefined;
      return;
    }
    this.aheadSinceMs ??= nowMs;
    if (this.isProposing || nowMs - this.aheadSinceMs < trustMs(state.settings?.maxAgeMs)) return;
    const latestMs = group.time.now()?.latestMs;
    if (latestMs !== undefined) void this.setBack(Math.ceil(latestMs));
  }

  private get isAhead(): boolean {
    const { group } = this.options;
    if (!group.leadsWithCertainty) return false;
    const now = group.time.now();
    return now !== undefined && group.tail.timeMs > now.latestMs + group.time.toleranceMs;
  }

  private async setBack(timeMs: number): Promise<void> {
    const { group, onFatal } = this.options;
    this.isProposing = true;
    try {
      await group.execute(logTimeCommand(group.self, timeMs));
    } catch (error) {
      // Another leader may have done it; if not, the next look does.
      if (!(error instanceof FlotillaError)) onFatal(error);
    }
    this.isProposing = false;
  }
}
