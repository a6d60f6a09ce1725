import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { FlotillaError, LIMITS } from '../../src/base/index.js';
import { HttpServer, type HttpServerOptions } from '../../src/http/index.js';

const open: HttpServer[] = [];
const logged: string[] = [];
const note = (_fields: Record<string, unknown>, message: string): void => {
  logged.push(message);
};
const logger = { debug: note, info: note, warn: note, error: note };

async function start(options: Partial<HttpServerOptions> = {}): Promise<number> {
  const server = new HttpServer({
    readiness: () => ({ ready: true, reasons: [] }),
    exposition: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'flotilla_up 1\n' }),
    logger,
    ...options,
  });
  open.push(server);
  return server.listen('127.0.0.1', 0);
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
  logged.length = 0;
});

const get = (port: number, path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init);

/** Sends bytes as they are and returns all that comes back until the server closes. */
async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(bytes);
  return received(socket);
}

async function received(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (part: string) => {
    text += part;
  });
  // Not once(): a connection that is reset is closed, too.
  await new Promise((resolve) => socket.on('close', resolve));
  return text;
}

describe('HTTP server', () => {
  it('/livez and /healthz are 200 while the process runs, ready or not', async () => {
    const port = await start({ readiness: () => ({ ready: false, reasons: ['No leader is known.'] }) });
    for (const path of ['/livez', '/healthz', '/livez?verbose']) {
      const response = await get(port, path);
      assert.deepEqual([response.status, await response.json()], [200, { live: true }]);
    }
  });

  it('/readyz follows the node, with the reasons', async () => {
    let reasons = ['No leader is known.', 'The node is stopping.'];
    const port = await start({ readiness: () => ({ ready: reasons.length === 0, reasons }) });
    const before = await get(port, '/readyz');
    assert.deepEqual([before.status, await before.json()], [503, { ready: false, reasons }]);
    reasons = [];
    const later = await get(port, '/readyz');
    assert.deepEqual([later.status, await later.json()], [200, { ready: true, reasons: [] }]);
    assert.equal(later.headers.get('cache-control'), 'no-store');
  });

  it('/metrics is what the registry says, in its content type', async () => {
    const response = await get(await start(), '/metrics');
    assert.deepEqual([response.status, await response.text()], [200, 'flotilla_up 1\n']);
    assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4');
  });

  it('HEAD is GET without the body', async () => {
    const port = await start();
    for (const path of ['/livez', '/readyz', '/metrics']) {
      const response = await get(port, path, { method: 'HEAD' });
      assert.deepEqual([response.status, await response.text()], [200, '']);
      assert.ok(Number(response.headers.get('content-length')) > 0);
    }
  });

  it('anything else is 404', async () => {
    const port = await start();
    for (const path of [
      '/',
      '/metrics/',
      '/Metrics',
      '/%6detrics',
      '/..%2fmetrics',
      '/constructor',
      '/__proto__',
      '//livez',
    ]) {
      const response = await get(port, path);
      assert.equal(response.status, 404, path);
      assert.match(await response.text(), /\/metrics/);
    }
  });

  it('another method is 405 and told which there are', async () => {
    const port = await start();
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const response = await get(port, '/metrics', { method });
      assert.deepEqual([response.status, response.headers.get('allow')], [405, 'GET, HEAD']);
      await response.text();
    }
  });

  it('a body is not read: the answer comes at once and the connection closes', async () => {
    const port = await start();
    const answer = await raw(port, 'POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nsome');
    assert.match(answer, /^HTTP\/1\.1 405 /);
    assert.match(answer, /^Connection: close\r$/m);
    const expecting = await raw(
      port,
      'GET /livez HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n',
    );
    assert.match(expecting, /^HTTP\/1\.1 200 /);
    const chunked = await raw(
      port,
      'GET /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    );
    assert.match(chunked, /^HTTP\/1\.1 200 /);
  });

  it('a head that is too large or malformed is refused, and the server lives on', async () => {
    const port = await start();
    assert.match(
      await raw(port, `GET /livez HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(LIMITS.httpHeaderBytes)}\r\n\r\n`),
      /^HTTP\/1\.1 431 /,
    );
    assert.match(await raw(port, 'BOO\r\n\r\n'), /^HTTP\/1\.1 400 /);
    assert.match(await raw(port, 'GET /livez HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400 /);
    assert.equal((await get(port, '/livez')).status, 200);
  });

  it('a failing callback is a 500 without a stack trace, and is logged', async () => {
    const port = await start({
      exposition: async () => {
        throw new Error('secret detail');
      },
    });
    const response = await get(port, '/metrics');
    assert.equal(response.status, 500);
    assert.doesNotMatch(await response.text(), /secret|at /);
    assert.deepEqual(logged, ['an HTTP request failed']);
  });

  it('above the limit the connection goes that was silent for longest, and the newcomer is served', async () => {
    const port = await start();
    const sockets: Socket[] = [];
    for (let at = 0; at < LIMITS.httpConnections; at++) {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      // Each is alive, and none of them ever gets to the end of its headers.
      socket.on('error', () => undefined).write('GET /livez HTTP/1.1\r\nX: ');
      sockets.push(socket);
    }
    const [first, second] = sockets;
    assert.ok(first !== undefined && second !== undefined);
    const gone = received(first);
    assert.match(await raw(port, 'GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 200 /);
    assert.equal(await gone, '');
    second.write('y\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(await received(second), /^HTTP\/1\.1 200 /);
    for (const socket of sockets) socket.destroy();
  });

  it('a flood of slow headers does not keep probes out, nor is a request under way given up for it', async () => {
    let answer: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let arrived: () => void = () => undefined;
    const underWay = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const port = await start({
      exposition: async () => {
        arrived();
        await asked;
        return { contentType: 'text/plain', body: 'figures\n' };
      },
    });
    const scrape = raw(port, 'GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await underWay;
    const flood: Socket[] = [];
    const more = (): void => {
      const socket = connect(port, '127.0.0.1', () => socket.write('GET /livez HTTP/1.1\r\nX: '));
      socket.on('error', () => undefined).on('close', () => flooding && more());
      flood.push(socket);
    };
    let flooding = true;
    for (let at = 0; at < 2 * LIMITS.httpConnections; at++) more();
    for (let probe = 0; probe < 20; probe++) {
      assert.match(
        await raw(port, 'GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
        /^HTTP\/1\.1 200 /,
        `probe ${probe}`,
      );
    }
    flooding = false;
    answer();
    assert.match(await scrape, /^HTTP\/1\.1 200 [\s\S]*figures\n$/);
    for (const socket of flood) socket.destroy();
  });

  it('a taken port is named, with what to do', async () => {
    const port = await start();
    const second = new HttpServer({
      readiness: () => ({ ready: true, reasons: [] }),
      exposition: async () => ({ contentType: '', body: '' }),
      logger,
    });
    await assert.rejects(second.listen('127.0.0.1', port), (error: unknown) => {
      assert.ok(error instanceof FlotillaError);
      assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}.*taken.*--http-port`));
      return true;
    });
    await second.close();
  });

  it('an address that this machine lacks is named, with what to do', async () => {
    const server = new HttpServer({
      readiness: () => ({ ready: true, reasons: [] }),
      exposition: async () => ({ contentType: '', body: '' }),
      logger,
    });
    await assert.rejects(server.listen('203.0.113.7', 0), /203\.0\.113\.7.*--host/);
  });

  it('close waits for nobody who keeps a connection open', async () => {
    const port = await start();
    const idle = connect(port, '127.0.0.1');
    await once(idle, 'connect');
    const slow = connect(port, '127.0.0.1');
    slow.write('GET /livez HTTP/1.1\r\n');
    await once(slow, 'connect');
    const closed = Promise.all([once(idle, 'close'), once(slow, 'close')]);
    idle.resume();
    slow.resume();
    const startMs = performance.now();
    await open[0]?.close();
    assert.ok(performance.now() - startMs < 3000);
    await closed;
    await assert.rejects(get(port, '/livez'));
  });
});
