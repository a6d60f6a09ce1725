import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Of HTTP/2: the length and the kind of each frame stand before it. */
const FRAME_HEADER_BYTES = 9;
const DATA_FRAME = 0;

/**
 * A TCP proxy that breaks a connection off in place of every so many-th answer: the request has reached the node, and
 * the caller never hears of it.
 */
export class AnswerDropper {
  /** Answers that did not arrive. */
  dropped = 0;
  private readonly server: Server;
  private readonly targetPort: number;
  private readonly every: number;
  private readonly sockets = new Set<Socket>();
  private answers = 0;

  private constructor(server: Server, targetPort: number, every: number) {
    this.server = server;
    this.targetPort = targetPort;
    this.every = every;
    server.on('connection', (caller) => this.through(caller));
  }

  static async to(targetPort: number, { every }: { readonly every: number }): Promise<AnswerDropper> {
    const server = createServer({ noDelay: true });
    const dropper = new AnswerDropper(server, targetPort, every);
    server.listen({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    return dropper;
  }

  get port(): number {
    const address = this.server.address() as AddressInfo;
    return address.port;
  }

  async close(): Promise<void> {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await once(this.server, 'close');
  }

  private through(caller: Socket): void {
    const target = connect({ port: this.targetPort, host: '127.0.0.1', noDelay: true });
    const end = (): void => {
      caller.resetAndDestroy();
      target.destroy();
    };
    for (const socket of [caller, target]) {
      this.sockets.add(socket);
      socket.on('error', end);
      socket.once('close', () => {
        this.sockets.delete(socket);
        end();
      });
    }
    caller.pipe(target);
    let waiting: Buffer = Buffer.alloc(0);
    target.on('data', (bytes: Buffer) => {
      waiting = Buffer.concat([waiting, bytes]);
      while (waiting.length >= FRAME_HEADER_BYTES) {
        const frameBytes = FRAME_HEADER_BYTES + waiting.readUIntBE(0, 3);
        if (waiting.length < frameBytes) return;
        if (frameBytes > FRAME_HEADER_BYTES && waiting[3] === DATA_FRAME && ++this.answers % this.every === 0) {
          this.dropped++;
          end();
          return;
        }
        caller.write(waiting.subarray(0, frameBytes));
        waiting = waiting.subarray(frameBytes);
      }
    });
  }
}
