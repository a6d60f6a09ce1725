import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { FlotillaError, LIMITS, messageOf, present } from '../base/index.js';

/** Listening sockets on every address of a host name, and the connections that came in by them. */
export class Listener {
  private readonly servers: Server[] = [];
  private readonly sockets = new Set<Socket>();
  private readonly onConnection: (socket: Socket) => void;
  private onEmpty: () => void = () => undefined;

  constructor(onConnection: (socket: Socket) => void) {
    this.onConnection = onConnection;
  }

  /**
   * Binds, and returns the port (chosen by the system where `port` is 0).
   * `localhost` may stand for ::1 and 127.0.0.1: a caller that dials either must get in.
   */
  async listen(host: string, port: number): Promise<number> {
    const addresses = await lookup(host, { all: true }).catch((error: unknown) => {
      throw new FlotillaError('INVALID_ARGUMENT', `can't listen on ${host}: ${messageOf(error)}; check --host`, {
        cause: error,
      });
    });
    let bound: number | undefined;
    let failure: unknown;
    for (const { address } of addresses) {
      try {
        bound = await this.bind(address, bound ?? port);
      } catch (error) {
        // A name may resolve to an address family that this host has turned off.
        failure = error;
        if (!hasCode(error, 'EADDRNOTAVAIL') && !hasCode(error, 'EAFNOSUPPORT')) break;
        continue;
      }
      failure = undefined;
    }
    if (bound === undefined || failure !== undefined) {
      this.stop();
      throw new FlotillaError('INVALID_ARGUMENT', explain(host, port, failure), { cause: failure });
    }
    return bound;
  }

  /** No further connections; those that stand stay. */
  stop(): void {
    for (const server of this.servers.splice(0)) server.close();
  }

  /** Resolves when no connection is left, or after `timeoutMs`. */
  async connectionsEnded(timeoutMs: number): Promise<void> {
    if (this.sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Ends the connections that are left. */
  destroyConnections(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  private async bind(address: string, port: number): Promise<number> {
    const server = createServer({ noDelay: true });
    server.maxConnections = LIMITS.connections;
    server.on('connection', (socket) => this.accept(socket));
    server.listen(port, address);
    await once(server, 'listening');
    this.servers.push(server);
    const bound = present(server.address(), 'a listening socket has an address');
    return typeof bound === 'string' ? port : bound.port;
  }

  private accept(socket: Socket): void {
    this.sockets.add(socket);
    socket.once('close', () => {
      this.sockets.delete(socket);
      if (this.sockets.size === 0) this.onEmpty();
    });
    this.onConnection(socket);
  }
}

function explain(host: string, port: number, failure: unknown): string {
  const where = `can't listen on port ${port} of ${host}`;
  if (hasCode(failure, 'EADDRINUSE'))
    return `${where}: another process listens there; stop it or choose another --port`;
  if (hasCode(failure, 'EACCES')) return `${where}: not permitted; choose a --port above 1023`;
  if (hasCode(failure, 'EADDRNOTAVAIL')) return `${where}: this host has no such address; check --host`;
  return `${where}: ${messageOf(failure)}`;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && Reflect.get(error, 'code') === code;
}
