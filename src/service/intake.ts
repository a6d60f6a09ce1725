import type { FlotillaError } from '../base/index.js';

interface Stoppable {
  stop(error: FlotillaError): void;
}

/** What a node takes in of its producers: nothing new once it stops, and it ends when all that was is answered. */
export class Intake {
  /** Calls that may have something in the log and not yet answered. */
  private readonly running = new Set<Promise<unknown>>();
  private readonly sessions = new Set<Stoppable>();
  private stopping: FlotillaError | undefined;

  /** Throws SHUTTING_DOWN once the node is stopping. */
  requireOpen(): void {
    if (this.stopping !== undefined) throw this.stopping;
  }

  /** The node waits for the call before it ends. */
  async track<Result>(call: Promise<Result>): Promise<Result> {
    this.running.add(call);
    try {
      return await call;
    } finally {
      this.running.delete(call);
    }
  }

  /** The same, of a session, which is told when the node is stopping. */
  async trackSession(session: Stoppable & { run(): Promise<void> }): Promise<void> {
    this.sessions.add(session);
    try {
      await this.track(session.run());
    } finally {
      this.sessions.delete(session);
    }
  }

  /** Takes nothing in from now on. Resolves when everything that was taken in is answered. */
  async drain(error: FlotillaError): Promise<void> {
    this.stopping = error;
    for (const session of this.sessions) session.stop(error);
    await this.settled();
  }

  /** Resolves when every call that is under way now has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.running]);
  }
}
