import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { breakOff, Lane, type Weather } from './lane.js';

/** From whoever dials through the proxy to its target, or from the target back. */
export type Way = 'there' | 'back';

interface Pair {
  readonly caller: Socket;
  readonly target: Socket;
  readonly lanes: Readonly<Record<Way, Lane>>;
}

const CLEAR: Weather = { name: 'clear' };
const BOTH: readonly Way[] = ['there', 'back'];

/**
 * A TCP proxy that does what networks do. It changes no byte and keeps their
 * order; what can't pass waits, as in a TCP connection whose packets are lost:
 * when the network heals it arrives, however old it is by then.
 */
export class LinkProxy {
  private readonly server: Server;
  private readonly targetPort: number;
  private readonly pairs = new Set<Pair>();
  private readonly weather: Record<Way, Weather> = { there: CLEAR, back: CLEAR };

  private constructor(server: Server, targetPort: number) {
    this.server = server;
    this.targetPort = targetPort;
    server.on('connection', (caller) => this.through(caller));
  }

  /** Listens on any free port of loopback; whoever connects there is connected to `targetPort`. */
  static async to(targetPort: number): Promise<LinkProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const proxy = new LinkProxy(server, targetPort);
    server.listen({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    const address = this.server.address() as AddressInfo;
    return address.port;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.pairs.size;
  }

  /** Nothing passes, and nobody hears of it: also not that a connection ended. */
  cut(...ways: readonly Way[]): void {
    this.change({ name: 'cut' }, ways);
  }

  /** Everything takes so much longer. */
  delay(delayMs: number, ...ways: readonly Way[]): void {
    this.change({ name: 'delayed', delayMs }, ways);
  }

  /** A thin line: so many bytes a second, a few at a time. */
  drip(bytesPerSecond: number, ...ways: readonly Way[]): void {
    this.change({ name: 'dripping', bytesPerSecond }, ways);
  }

  /**
   * Breaks off every connection, as a restarting firewall does; what was on its way is lost. New ones are let through.
   */
  reset(): void {
    for (const { caller, target } of this.pairs) {
      breakOff(caller);
      breakOff(target);
    }
  }

  heal(): void {
    this.change(CLEAR, []);
  }

  async close(): Promise<void> {
    this.server.close();
    this.reset();
    await once(this.server, 'close');
  }

  /** No ways: both. */
  private change(weather: Weather, ways: readonly Way[]): void {
    for (const way of ways.length === 0 ? BOTH : ways) {
      this.weather[way] = weather;
      for (const { lanes } of this.pairs) lanes[way].enter(weather);
    }
  }

  private through(caller: Socket): void {
    const target = connect({ port: this.targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const lanes = {
      there: new Lane(caller, target, this.weather.there),
      back: new Lane(target, caller, this.weather.back),
    };
    const pair: Pair = { caller, target, lanes };
    this.pairs.add(pair);
    for (const socket of [caller, target]) {
      socket.once('close', () => {
        if (caller.destroyed && target.destroyed) this.pairs.delete(pair);
      });
    }
  }
}
