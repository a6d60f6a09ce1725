import { monitorEventLoopDelay } from 'node:perf_hooks';

/** How often a sample is taken. Each one wakes the process, which an idle node pays for. */
const RESOLUTION_MS = 50;

/**
 * The figures cover at least this long a time: several scrapers that come
 * shortly after each other see the same stall.
 */
const WINDOW_MS = 10_000;

export interface EventLoopDelay {
  readonly p50Seconds: number;
  readonly p99Seconds: number;
  readonly maxSeconds: number;
}

/** How late the event loop runs its timers: a node that is late with its heartbeats loses its leadership. */
export class EventLoopDelayMonitor {
  private readonly histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  private windowStartMs = performance.now();

  constructor() {
    this.histogram.enable();
  }

  read(): EventLoopDelay {
    const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1e3);
    const { histogram } = this;
    const delay =
      histogram.count === 0
        ? { p50Seconds: 0, p99Seconds: 0, maxSeconds: 0 }
        : {
            p50Seconds: seconds(histogram.percentile(50)),
            p99Seconds: seconds(histogram.percentile(99)),
            maxSeconds: seconds(histogram.max),
          };
    if (performance.now() - this.windowStartMs >= WINDOW_MS) {
      this.windowStartMs = performance.now();
      histogram.reset();
    }
    return delay;
  }

  close(): void {
    this.histogram.disable();
  }
}
