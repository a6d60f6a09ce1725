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

/** How often the stalls are looked at; what stood still for less may not be seen. */
const LOOK_MS = 50;

/**
 * The longest that the event loop stood still for work of this process. A loop
 * that is late because the machine gave the process no processor does not count:
 * of each delay counts what the process was at work for meanwhile.
 */
export class EventLoopStalls {
  private readonly timer: NodeJS.Timeout;
  private longestMs = 0;
  private lookedMs = performance.now();
  private cpu = process.cpuUsage();

  constructor() {
    this.timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** Since the process started. */
  get longestSeconds(): number {
    return this.longestMs / 1000;
  }

  close(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    const nowMs = performance.now();
    const lateMs = nowMs - this.lookedMs - LOOK_MS;
    const { user, system } = process.cpuUsage(this.cpu);
    this.longestMs = Math.max(this.longestMs, Math.min(lateMs, (user + system) / 1000));
    this.lookedMs = nowMs;
    this.cpu = process.cpuUsage();
  }
}
