import type { Socket } from 'node:net';

/** What a lane lets pass. */
export type Weather =
  | { readonly name: 'clear' }
  | { readonly name: 'cut' }
  | { readonly name: 'delayed'; readonly delayMs: number }
  | { readonly name: 'dripping'; readonly bytesPerSecond: number };

/** Something on its way: bytes, or the news that the connection ended or broke. */
interface Parcel {
  readonly what: Buffer | 'end' | 'break';
  readonly sentMs: number;
}

/** What may wait in a lane: beyond it the sender is held back, as by a full TCP window. */
const WAITING_BYTES = 256 * 1024;

/** How often a dripping lane lets something pass. */
const DRIP_MS = 20;

/** One direction of a connection through a proxy. */
export class Lane {
  private readonly from: Socket;
  private readonly to: Socket;
  private readonly waiting: Parcel[] = [];
  private waitingBytes = 0;
  private weather: Weather;
  private timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, weather: Weather) {
    this.from = from;
    this.to = to;
    this.weather = weather;
    from.on('data', (bytes: Buffer) => {
      this.waitingBytes += bytes.byteLength;
      if (this.waitingBytes > WAITING_BYTES) from.pause();
      this.take(bytes);
    });
    from.once('end', () => this.take('end'));
    // Its 'close' follows, and says the same.
    from.on('error', () => undefined);
    from.once('close', (broken) => {
      if (broken) this.take('break');
    });
    to.on('drain', () => this.next());
    to.once('close', () => this.over());
  }

  enter(weather: Weather): void {
    this.weather = weather;
    this.stopTimer();
    this.pass();
  }

  private take(what: Parcel['what']): void {
    if (this.to.destroyed) return;
    this.waiting.push({ what, sentMs: performance.now() });
    this.next();
  }

  private next(): void {
    if (this.timer === undefined) this.pass();
  }

  /** Lets pass what may now. */
  private pass(): void {
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      if (this.weather.name === 'cut' || this.to.writableNeedDrain) return;
      const leftMs = this.weather.name === 'delayed' ? next.sentMs + this.weather.delayMs - performance.now() : 0;
      if (leftMs > 0) {
        this.passLater(leftMs);
        return;
      }
      this.waiting.shift();
      if (next.what === 'end') this.to.end();
      else if (next.what === 'break') breakOff(this.to);
      else if (this.weather.name === 'dripping') {
        this.dripFrom(next.what, next.sentMs, this.weather.bytesPerSecond);
        return;
      } else this.write(next.what);
    }
  }

  private dripFrom(bytes: Buffer, sentMs: number, bytesPerSecond: number): void {
    const drop = Math.max(1, Math.floor((bytesPerSecond * DRIP_MS) / 1000));
    if (bytes.byteLength > drop) this.waiting.unshift({ what: bytes.subarray(drop), sentMs });
    this.write(bytes.subarray(0, drop));
    this.passLater(DRIP_MS);
  }

  private passLater(delayMs: number): void {
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.pass();
    }, delayMs);
  }

  private write(bytes: Buffer): void {
    this.to.write(bytes);
    this.waitingBytes -= bytes.byteLength;
    if (this.waitingBytes <= WAITING_BYTES) this.from.resume();
  }

  private stopTimer(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Nobody is there any more whom anything could reach. The other side hears of it by its own lane. */
  private over(): void {
    this.stopTimer();
    this.waiting.length = 0;
    this.waitingBytes = 0;
    this.from.resume();
  }
}

/**
 * With a RST, unless the socket has begun to end: Node 20 never lets go of one that is reset then, and spins when the
 * process is to end.
 */
export function breakOff(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
