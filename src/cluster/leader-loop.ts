import { FlotillaError, LIMITS } from '../base/index.js';
import type { Clock, Logger, Timer } from '../group/index.js';

/** What a step has come to. `done`: there may be more to do; `later`: it waits for what nobody tells of. */
export type StepOutcome = 'done' | 'nothing' | 'later';

export interface LeaderLoopOptions {
  readonly group: {
    readonly role: string;
    roleChanged(signal?: AbortSignal): Promise<void>;
  };
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Work that belongs to whoever leads a group: it is looked for when the group's role or members change and when
 * {@link check} is called, and done step by step while this node leads.
 */
export abstract class LeaderLoop {
  private readonly loop: LeaderLoopOptions;
  private readonly ending = new AbortController();
  private isRunning = false;
  private isNews = false;
  private retry: Timer | undefined;

  constructor(options: LeaderLoopOptions) {
    this.loop = options;
  }

  /** One step at a time. Where it rejects with a FlotillaError, it is tried again a while later. */
  protected abstract step(): Promise<StepOutcome>;

  start(): void {
    void this.watch();
  }

  stop(): void {
    this.ending.abort();
    this.retry?.cancel();
  }

  /** Something may be to be done that was not before. */
  check(): void {
    this.isNews = true;
    if (!this.isRunning) void this.run();
  }

  private get isDue(): boolean {
    return this.isNews && !this.ending.signal.aborted && this.loop.group.role === 'leader';
  }

  private async watch(): Promise<void> {
    while (!this.ending.signal.aborted) {
      this.check();
      await this.loop.group.roleChanged(this.ending.signal);
    }
  }

  private async run(): Promise<void> {
    this.isRunning = true;
    while (this.isDue) {
      this.isNews = false;
      const outcome = await this.tryStep();
      if (outcome === 'done') this.isNews = true;
      else if (outcome === 'later') this.planRetry();
    }
    this.isRunning = false;
  }

  private async tryStep(): Promise<StepOutcome> {
    try {
      return await this.step();
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      // Another change is under way, a majority is away, or another node leads by now.
      this.loop.logger.debug({ reason: error.message }, 'the cluster could not be brought in line yet');
      return 'later';
    }
  }

  private planRetry(): void {
    this.retry?.cancel();
    if (!this.ending.signal.aborted) this.retry = this.loop.clock.after(LIMITS.memberRetryMs, () => this.check());
  }
}
