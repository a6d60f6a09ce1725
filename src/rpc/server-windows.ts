import type { EventEmitter } from 'node:events';
import type { ServerHttp2Session } from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import { assert, LIMITS } from '../base/index.js';

/**
 * grpc-js lets a client choose its HTTP/2 windows, but a server keeps Node's
 * 64 KiB: one round trip per 64 KiB of appends. So this reaches into two of its
 * private fields. Where a later grpc-js has no such settings, nothing breaks but
 * the speed, and a test says so.
 */
export function raiseServerWindows(server: Server): void {
  const common: unknown = Reflect.get(server, 'commonServerOptions');
  if (!isObject(common)) return;
  const settings: unknown = Reflect.get(common, 'settings');
  Reflect.set(common, 'settings', {
    ...(isObject(settings) ? settings : {}),
    initialWindowSize: LIMITS.streamWindowBytes,
    maxHeaderListSize: LIMITS.metadataBytes,
  });
}

/** The window of a whole connection; to be called once the server's HTTP/2 side exists. */
export function raiseConnectionWindows(server: Server): void {
  for (const http2Server of http2ServersOf(server)) {
    http2Server.on('session', (session: ServerHttp2Session) =>
      session.setLocalWindowSize(LIMITS.flowControlWindowBytes),
    );
  }
}

/** Also private to grpc-js; but without them nothing would bound what comes in, and no node may run so. */
export function http2ServersOf(server: Server): EventEmitter[] {
  const http2Servers: unknown = Reflect.get(server, 'http2Servers');
  assert(
    http2Servers instanceof Map && http2Servers.size > 0,
    'this version of grpc-js keeps its HTTP/2 servers elsewhere',
  );
  return [...http2Servers.keys()];
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
