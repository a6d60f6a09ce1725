import type { Readable } from 'node:stream';
import { LIMITS } from '../base/index.js';

/**
 * What a stream of responses may fetch before it is taken, by bytes: grpc-js
 * counts messages, sixteen of them, and the largest has megabytes. The next one
 * is asked for while less than `readAheadBytes` are here and not taken.
 */
export class ReadAhead {
  /** Sizes of the messages that are here and not taken, in order. */
  private readonly sizes: number[] = [];
  private bytes = 0;
  private askForNext: (() => void) | undefined;

  /** Holds `surface` back, whose next message follows only when its `_read` has been called. */
  hold(surface: Readable): void {
    const ask = surface._read.bind(surface);
    surface._read = (size) => {
      this.askForNext = () => ask(size);
      this.askWhereShort();
    };
  }

  arrived(bytes: number): void {
    this.sizes.push(bytes);
    this.bytes += bytes;
  }

  /** The oldest of those that are here belongs to the application now. */
  taken(): void {
    this.bytes -= this.sizes.shift() ?? 0;
    this.askWhereShort();
  }

  private askWhereShort(): void {
    if (this.bytes >= LIMITS.readAheadBytes) return;
    const { askForNext } = this;
    this.askForNext = undefined;
    askForNext?.();
  }
}
