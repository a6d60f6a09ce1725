import { isMainThread, Worker } from 'node:worker_threads';
import { messageOf } from '../base/index.js';
import type { Logger } from '../group/index.js';
import type { LogDestination } from '../telemetry/index.js';

/** How many greetings fit into the time after which their absence ends the process. */
const GREETINGS_PER_TIMEOUT = 10;
/** No more often than that, however long the time is: a greeting wakes an idle process twice. */
const GREETING_PERIOD_MS_MAX = 1_000;

/** Words of the memory that both threads see. */
export const GREETINGS = 0;
export const DEBUGGED = 1;

export interface WatchdogOptions {
  readonly timeoutMs: number;
  readonly actor: number;
  /** Where the last line goes; undefined: only to standard error. */
  readonly logDestination: LogDestination | undefined;
}

/** What the watching thread is told. */
export interface WatchdogData extends WatchdogOptions {
  readonly shared: Int32Array;
  readonly tickMs: number;
  /** Whether the thread that greets is the process's main thread, of which the system and the inspector tell more. */
  readonly watchesMainThread: boolean;
}

/**
 * Ends the process where the thread that made it stands still: it runs
 * JavaScript or native code, or waits for something, without ever turning its
 * event loop. Such a node acknowledges nothing, answers nobody, hears no signal,
 * and may keep what clients and other nodes wait for until somebody kills it.
 * A thread of its own watches, because nothing else in the process still runs
 * then; it says in the log where the other one is, and ends the process by
 * SIGABRT. A node that starts again verifies its data as after any crash.
 */
export class Watchdog {
  private readonly worker: Worker;
  private readonly greeting: NodeJS.Timeout;

  private constructor(worker: Worker, greeting: NodeJS.Timeout) {
    this.worker = worker;
    this.greeting = greeting;
  }

  static async start(options: WatchdogOptions, logger: Logger): Promise<Watchdog> {
    const shared = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
    const tickMs = Math.min(GREETING_PERIOD_MS_MAX, options.timeoutMs / GREETINGS_PER_TIMEOUT);
    // A build of Node.js without an inspector has no such module.
    const inspector = process.features.inspector ? await import('node:inspector') : undefined;
    const greet = (): void => {
      Atomics.add(shared, GREETINGS, 1);
      Atomics.store(shared, DEBUGGED, inspector?.url() === undefined ? 0 : 1);
    };
    greet();
    const workerData: WatchdogData = { ...options, shared, tickMs, watchesMainThread: isMainThread };
    const worker = new Worker(new URL('./watchdog-thread.js', import.meta.url), {
      name: 'watchdog',
      workerData,
      // Nothing of what the host preloads or limits is this thread's business.
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 },
    });
    worker.on('error', (error) =>
      logger.error({ reason: messageOf(error) }, 'the watchdog has ended: nothing notices a standstill any more'),
    );
    worker.unref();
    return new Watchdog(worker, setInterval(greet, tickMs).unref());
  }

  /** Resolves when the thread is gone. */
  async stop(): Promise<void> {
    clearInterval(this.greeting);
    await this.worker.terminate();
  }
}
