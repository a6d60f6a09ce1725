import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIPv6, type Socket } from 'node:net';
import { FlotillaError, LIMITS, messageOf } from '../base/index.js';
import type { Logger } from '../group/index.js';

/** Whether the node serves; if not, why: one sentence a reason. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  /** What an operator should see to, though the node serves. */
  readonly warnings?: readonly string[];
}

export interface HttpServerOptions {
  /** Asked at each /readyz. */
  readonly readiness: () => Readiness;
  /** Asked at each /metrics. */
  readonly exposition: () => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly logger: Logger;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

type Route = () => Promise<Answer>;

/** How often Node looks for requests that take too long to arrive. */
const CHECK_INTERVAL_MS = 1_000;

/** What is under way gets this long when the server closes. */
const CLOSE_GRACE_MS = 500;

/**
 * Health and metrics: GET and HEAD of /livez (also /healthz), /readyz and
 * /metrics. Nothing here reads a request's body or a query.
 */
export class HttpServer {
  private readonly server: Server;
  private readonly routes: ReadonlyMap<string, Route>;
  private readonly logger: Logger;

  constructor({ readiness, exposition, logger }: HttpServerOptions) {
    this.logger = logger;
    const live: Route = async () => json(200, { live: true });
    this.routes = new Map<string, Route>([
      ['/livez', live],
      ['/healthz', live],
      ['/readyz', async () => readinessAnswer(readiness())],
      ['/metrics', async () => ({ status: 200, ...(await exposition()) })],
    ]);
    this.server = boundedServer((request, response) => {
      void this.handle(request, response);
    });
  }

  /**
   * Binds, and returns the port (the system chooses where `port` is 0). Rejects with a FlotillaError that says what to
   * do.
   */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      // `localhost` would be bound at ::1 alone where that comes first; a caller that dials localhost tries both.
      this.server.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port }, () => {
        this.server.off('error', reject);
        resolve();
      });
    }).catch((error: unknown) => {
      throw new FlotillaError('INVALID_ARGUMENT', explain(host, port, error), { cause: error });
    });
    // A failing accept (no descriptors left) is reported here; the node goes on.
    this.server.on('error', (error) => this.logger.error({ error }, 'the HTTP server reported an error'));
    const address: AddressInfo | string | null = this.server.address();
    return address !== null && typeof address === 'object' ? address.port : port;
  }

  /** Stops listening; what is under way gets half a second. */
  async close(): Promise<void> {
    if (!this.server.listening) return;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeIdleConnections();
    const cut = setTimeout(() => this.server.closeAllConnections(), CLOSE_GRACE_MS);
    await closed;
    clearTimeout(cut);
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const route = this.routes.get(path);
    if (route === undefined) {
      send(
        request,
        response,
        json(404, { error: `Nothing is served here; there are ${[...this.routes.keys()].join(', ')}.` }),
      );
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      send(request, response, json(405, { error: 'Only GET and HEAD are answered here.' }));
    } else {
      const answer = await this.answer(path, route);
      send(request, response, answer);
    }
  }

  private async answer(path: string, route: Route): Promise<Answer> {
    try {
      return await route();
    } catch (error) {
      this.logger.error({ error, path }, 'an HTTP request failed');
      return json(500, { error: "The request failed; the node's log has the details." });
    }
  }
}

function boundedServer(handler: (request: IncomingMessage, response: ServerResponse) => void): Server {
  const server = createServer(
    {
      maxHeaderSize: LIMITS.httpHeaderBytes,
      headersTimeout: LIMITS.httpHeadersTimeoutMs,
      requestTimeout: LIMITS.httpRequestTimeoutMs,
      keepAliveTimeout: LIMITS.httpIdleMs,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
    },
    handler,
  );
  boundConnections(server);
  server.maxHeadersCount = LIMITS.httpHeaders;
  // Ends a reader that takes nothing of its answer, too.
  server.timeout = LIMITS.httpIdleMs;
  // A client is not told to go on with a body that would not be read.
  server.on('checkContinue', handler);
  return server;
}

/**
 * A connection that has no request under way may go when another comes and there
 * are as many as may be: the one that has been so for longest. Node itself would
 * turn the newcomer away, and a client that opens connections and says nothing on
 * them would keep probes out; a probe sends its request at once.
 */
function boundConnections(server: Server): void {
  /** Open connections without a request that has arrived; the oldest first. */
  const waiting = new Set<Socket>();
  let open = 0;
  server.on('connection', (socket: Socket) => {
    open++;
    waiting.add(socket);
    socket.once('close', () => {
      open--;
      waiting.delete(socket);
    });
    if (open <= LIMITS.httpConnections) return;
    const [longest] = waiting;
    longest?.destroy();
  });
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    waiting.delete(socket);
    response.once('close', () => {
      if (!socket.destroyed) waiting.add(socket);
    });
  });
}

function readinessAnswer({ ready, reasons, warnings = [] }: Readiness): Answer {
  return json(ready ? 200 : 503, { ready, reasons, ...(warnings.length === 0 ? {} : { warnings }) });
}

function json(status: number, value: unknown): Answer {
  return { status, contentType: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` };
}

function send(request: IncomingMessage, response: ServerResponse, { status, contentType, body }: Answer): void {
  if (response.headersSent || response.destroyed) return;
  // A body is not read: the connection can't be used for another request.
  if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined)
    response.shouldKeepAlive = false;
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function explain(host: string, port: number, error: unknown): string {
  const where = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'EADDRINUSE':
      return (
        `can't serve HTTP on ${where}: the port is taken; ` +
        'end what uses it, or choose another with --http-port (0 turns HTTP off)'
      );
    case 'EACCES':
      return `can't serve HTTP on ${where}: this user may not use the port; choose one above 1023 with --http-port`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `can't serve HTTP on ${where}: this host doesn't have the address; check --host`;
    default:
      return `can't serve HTTP on ${where}: ${messageOf(error)}; check --host and --http-port`;
  }
}
