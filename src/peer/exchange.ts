import { FlotillaError, LIMITS } from '../base/index.js';
import type { ClientDuplex, DuplexStream } from '../rpc/index.js';
import type { CallerHandshake } from './handshake.js';
import { foreign } from './hello.js';

/** Sends one request, made once the other side has proved its identity, and resolves with the one response. */
export async function askOnce<Request, Response>(
  call: ClientDuplex<Request, Response>,
  handshake: CallerHandshake,
  request: () => Request,
): Promise<Response> {
  return await new Promise((resolve, reject) => {
    call.onHeaders((header) => {
      try {
        handshake.takeHeaders(header);
        void call.send(request());
        call.end();
      } catch (error) {
        reject(error);
        call.cancel();
      }
    });
    call
      .receive((response) => resolve(response))
      .then(
        () => reject(new FlotillaError('OUTCOME_UNKNOWN', 'the other node ended the call without an answer')),
        reject,
      );
  });
}

/** The one request of such a call, at the other side. Rejects with FOREIGN_NODE where none comes in time. */
export async function firstOf<Request>(stream: DuplexStream<Request, unknown>): Promise<Request> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(foreign('the caller did not prove its identity in time')),
      LIMITS.peerDialTimeoutMs,
    );
  });
  try {
    return await Promise.race([next(stream), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function next<Request>(stream: DuplexStream<Request, unknown>): Promise<Request> {
  for await (const request of stream) return request;
  throw foreign('the caller has ended the call before it proved its identity');
}
