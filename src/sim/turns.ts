import type { Schedule } from './disk.js';
import type { EventQueue } from './event-queue.js';
import type { Host } from './host.js';
import type { Process } from './process.js';

/** Lets processes run, one after another, as the queue's events come to them; and knows the last that ran. */
export class Turns {
  /** Inputs that processes have taken. */
  steps = 0;
  private readonly queue: EventQueue;
  /** The host whose process has taken the event that runs. */
  private touched: Host | undefined;

  constructor(queue: EventQueue) {
    this.queue = queue;
  }

  /** Runs what belongs to a process while that lives, and not while its host stands still. */
  scheduleOf(host: Host, processOf: () => Process): Schedule {
    return (delayMs, run) => {
      const attempt = (): void => {
        if (!processOf().alive) return;
        if (host.pausedUntilMs > this.queue.nowMs) {
          this.queue.at(host.pausedUntilMs, attempt);
          return;
        }
        this.touched = host;
        this.steps++;
        run();
      };
      this.queue.after(delayMs, attempt);
    };
  }

  /** Gives a host's process an input, when it is able to take one; none where it died meanwhile. */
  inputAfter(delayMs: number, host: Host, input: (process: Process) => void): void {
    const { process } = host;
    if (process !== undefined) this.scheduleOf(host, () => process)(delayMs, () => input(process));
  }

  /** The host whose process has taken the last event, told once. */
  takeTouched(): Host | undefined {
    const { touched } = this;
    this.touched = undefined;
    return touched;
  }
}
