import type { EventEmitter } from 'node:events';
import type { ServerHttp2Session } from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import { LIMITS } from '../base/index.js';

/**
 * grpc-js lets a client choose its HTTP/2 windows, but a server keeps Node's
 * 64 KiB: one round trip per 64 KiB of appends. So this reaches into two of its
 * private fields. Where a later grpc-js has none of them, nothing breaks but
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
  const http2Servers: unknown = Reflect.get(server, 'http2Servers');
  if (!(http2Servers instanceof Map)) return;
  for (const http2Server of http2Servers.keys() as Iterable<EventEmitter>) {
    http2Server.on('session', (session: ServerHttp2Session) => session.setLocalWindowSize(LIMITS.flowControlWindowBytes));
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
