import { FlotillaError, toFlotillaError } from '../../base/index.js';
import { RpcClient } from '../../rpc/index.js';
import { proto } from '../../wire/index.js';
import { Attempts, type ClientContext } from '../connection/attempts.js';
import { CallbackFailure, callBack } from '../connection/call-back.js';
import { connected, KEEPALIVE } from '../connection/connect.js';
import type { Event } from './event.js';
import { checkReadOptions, type ReadOptions } from './read-options.js';
import { ReadPosition } from './read-position.js';

/**
 * Reads a stream over as many connections as it takes; each batch is what one
 * message brought. The caller's pull is what drives it: when it stops, flow
 * control stops the node. Ends with CANCELLED when `signal` is aborted.
 */
export async function* readBatches(
  context: ClientContext,
  options: ReadOptions,
  signal: AbortSignal,
): AsyncGenerator<Event[], void, undefined> {
  const checked = checkReadOptions(options);
  const position = new ReadPosition(checked);
  const attempts = new Attempts(context, { isRead: true, signal });
  while (!position.complete) {
    throwIfAborted(signal);
    let failure: FlotillaError;
    try {
      for await (const events of readFrom(attempts.address, context, position, options, signal)) {
        attempts.contact();
        if (events.length > 0) {
          attempts.progress();
          yield events;
        }
        throwIfAborted(signal);
      }
      failure = new FlotillaError('UNREACHABLE', `${attempts.address} ended the read`);
    } catch (error) {
      if (error instanceof CallbackFailure) throw error.cause;
      throwIfAborted(signal);
      failure = toFlotillaError(error);
    }
    if (position.complete) return;
    if (failure.code === 'POSITION_REMOVED' && position.removed()) continue;
    // Another node may have a sound copy, or be as far as this read is: that is final only when it lasts.
    const goesOn = failure.code === 'POSITION_MISMATCH' && position.hasStarted;
    const isOfTheNode = failure.code === 'DATA_LOSS' || goesOn;
    await attempts.failed(failure, {
      goesOn,
      isEndless: options.tail === true && position.hasStarted && !isOfTheNode,
    });
    options.onReconnect?.(failure);
  }
}

/** One connection's worth of a read: an empty batch tells that the node has let it in. */
async function* readFrom(
  address: string,
  context: ClientContext,
  position: ReadPosition,
  options: ReadOptions,
  signal: AbortSignal,
): AsyncGenerator<Event[], void, undefined> {
  const client = new RpcClient(proto.EventServiceDefinition, address, KEEPALIVE);
  const call = client.serverStream('read', position.request(context.stream), { signal });
  try {
    await connected(client, call);
    for await (const { content } of call) {
      switch (content?.$case) {
        case 'started':
          position.started(content.value, address);
          context.onConnected(address);
          yield [];
          break;
        case 'caughtUp':
          callBack(() => options.onCaughtUp?.());
          break;
        case 'events':
        case 'batches':
        case 'gathered':
          yield position.take(content);
          break;
        default:
          throw new FlotillaError('INTERNAL', `${address} sent something that this version does not know`);
      }
      if (position.complete) return;
    }
    position.ended();
  } finally {
    call.cancel();
    client.close();
  }
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new FlotillaError('CANCELLED', 'the read was stopped');
}
