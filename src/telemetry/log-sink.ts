import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { LIMITS } from '../base/index.js';

/** How often a stalled reader is tried again. */
const RETRY_MS = 20;

/** Log files may hold namespaces and addresses: they are for the user and the group. */
const FILE_MODE = 0o640;

/**
 * Writes log lines at once, so that a crash loses none, and never waits: where
 * the reader of a pipe or terminal has stalled, lines are kept up to
 * {@link LIMITS.logBufferBytes} and dropped beyond it. Neither the event loop
 * nor a thread of libuv's pool may hang in a write: the first would stop Raft,
 * the second would keep the process from exiting.
 */
export class LogSink {
  private readonly path: string | undefined;
  private readonly onDrop: () => void;
  private descriptor: number;
  private waiting: Buffer[] = [];
  private waitingBytes = 0;
  private retry: NodeJS.Timeout | undefined;
  /** The reader is gone for good. */
  private broken = false;

  /** `target`: a file, which is appended to, or an open descriptor. Throws what opening the file throws. */
  constructor(target: string | number, onDrop: () => void = () => undefined) {
    this.path = typeof target === 'string' ? target : undefined;
    this.onDrop = onDrop;
    this.descriptor = typeof target === 'string' ? openSync(target, 'a', FILE_MODE) : withoutBlocking(target);
  }

  /** Takes one line with its line end. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.broken || this.waitingBytes + bytes.length > LIMITS.logBufferBytes) {
      this.onDrop();
      return;
    }
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
    // While a reader stalls, the timer alone tries again: not every line pays for a write that fails.
    if (this.retry === undefined) this.flushSync();
  }

  /** Writes what the reader takes, without a wait for its caller. */
  flushSync(): void {
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      const written = this.attempt(next);
      if (written === undefined) return;
      this.waitingBytes -= written;
      if (written < next.length) this.waiting[0] = next.subarray(written);
      else this.waiting.shift();
    }
  }

  /** Resolves when everything is written, the reader is gone, or it has stalled for {@link LIMITS.logFlushMs}. */
  async flush(): Promise<void> {
    for (let waitedMs = 0; waitedMs < LIMITS.logFlushMs; waitedMs += RETRY_MS) {
      this.flushSync();
      if (this.waiting.length === 0) return;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /**
   * Opens the file anew, after something like logrotate has moved it. Keeps the old one where that fails, and throws.
   */
  reopen(): void {
    if (this.path === undefined) return;
    const fresh = openSync(this.path, 'a', FILE_MODE);
    closeSync(this.descriptor);
    this.descriptor = fresh;
  }

  /**
   * How many bytes of `line` were taken (all of them, as far as it matters, where it can't be written at all);
   * undefined: not now.
   */
  private attempt(line: Buffer): number | undefined {
    try {
      return writeSync(this.descriptor, line);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EAGAIN') {
        this.tryLater();
        return undefined;
      }
      // A full disk or a reader that left must not stop a node; what can't be written is counted instead.
      if (code === 'EPIPE') this.broken = true;
      this.onDrop();
      return line.length;
    }
  }

  private tryLater(): void {
    this.retry ??= setTimeout(() => {
      this.retry = undefined;
      this.flushSync();
    }, RETRY_MS).unref();
  }
}

/**
 * The same pipe or terminal by a descriptor that answers EAGAIN instead of
 * blocking. The flag is set on a description of our own: standard output is
 * shared with the shell and with other processes, which don't expect it.
 * A socket, which is what a parent in Node.js gives, can't be opened again;
 * Node sets its flag when its own stream is first asked for. Files never block
 * and keep their descriptor, and so their write position.
 */
function withoutBlocking(descriptor: number): number {
  const kind = fstatSync(descriptor);
  if (kind.isSocket() && descriptor === 1) Reflect.get(process, 'stdout');
  if (!kind.isFIFO() && !kind.isCharacterDevice()) return descriptor;
  try {
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_APPEND);
  } catch {
    // No /proc, or the pipe belongs to another user: a stalled reader can then stall the node.
    return descriptor;
  }
}
