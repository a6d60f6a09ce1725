import { type ErrorCode, FlotillaError, messageOf } from '../base/index.js';
import { RpcClient } from '../rpc/index.js';
import { proto } from '../wire/index.js';
import { BackOff } from './back-off.js';
import { CallbackFailure, callBack } from './call-back.js';
import { connected, KEEPALIVE, sleep } from './connect.js';
import type { Event } from './event.js';
import type { Hosts } from './hosts.js';
import { unreachableError } from './link-keeper.js';
import { checkReadOptions, type ReadOptions } from './read-options.js';
import { ReadPosition } from './read-position.js';

export interface ReaderContext {
  readonly hosts: Hosts;
  readonly stream: string;
  /** Without progress a read fails after this; a tail that has begun goes on trying. */
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly onConnected: (address: string) => void;
}

/** Failures after which the read goes on, here or at another node. */
const TRANSIENT: ReadonlySet<ErrorCode> = new Set([
  'UNREACHABLE',
  'OUTCOME_UNKNOWN',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'NO_LEADER',
  'NOT_LEADER',
  'NOT_READY',
  'SHUTTING_DOWN',
  'TOO_MANY_REQUESTS',
]);

/**
 * Reads a stream over as many connections as it takes; each batch is what one
 * message brought. The caller's pull is what drives it: when it stops, flow
 * control stops the node. Ends with CANCELLED when `signal` is aborted.
 */
export async function* readBatches(
  context: ReaderContext,
  options: ReadOptions,
  signal: AbortSignal,
): AsyncGenerator<Event[], void, undefined> {
  const checked = checkReadOptions(options);
  const position = new ReadPosition(checked);
  const patience = new Patience(context, options.tail === true);
  let address = context.hosts.preferred;
  while (!position.complete) {
    throwIfAborted(signal);
    let failure: FlotillaError;
    try {
      for await (const events of readFrom(address, context, position, options, signal)) {
        patience.contact();
        if (events.length > 0) {
          patience.progress();
          yield events;
        }
        throwIfAborted(signal);
      }
      failure = new FlotillaError('UNREACHABLE', `${address} ended the read`);
    } catch (error) {
      if (error instanceof CallbackFailure) throw error.cause;
      throwIfAborted(signal);
      failure =
        error instanceof FlotillaError ? error : new FlotillaError('INTERNAL', messageOf(error), { cause: error });
    }
    if (position.complete) return;
    if (failure.code === 'POSITION_REMOVED' && position.removed()) continue;
    await sleep(patience.pauseAfter(failure, position.hasStarted), signal);
    options.onReconnect?.(failure);
    address = context.hosts.after(address);
  }
}

/** One connection's worth of a read: an empty batch tells that the node has let it in. */
async function* readFrom(
  address: string,
  context: ReaderContext,
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

/** How long a read goes on without getting any further. */
export class Patience {
  private readonly context: ReaderContext;
  private readonly tail: boolean;
  private readonly backOff = new BackOff();
  private lastProgressMs = performance.now();
  private contacted = false;

  constructor(context: ReaderContext, tail: boolean) {
    this.context = context;
    this.tail = tail;
  }

  contact(): void {
    this.contacted = true;
  }

  /** Events came: to be let in again and again is no progress. */
  progress(): void {
    this.backOff.succeeded();
    this.lastProgressMs = performance.now();
  }

  /** How long to wait before the next attempt; throws the failure where it is final. */
  pauseAfter(failure: FlotillaError, hasStarted: boolean): number {
    const { hosts, timeoutMs, connectTimeoutMs } = this.context;
    // Another node may have a sound copy, or be as far as this read is: final only when it lasts.
    const ofTheNode = failure.code === 'DATA_LOSS' || (hasStarted && failure.code === 'POSITION_MISMATCH');
    if (!TRANSIENT.has(failure.code) && !ofTheNode) throw failure;
    if (failure.code !== 'UNREACHABLE') this.contact();
    const endless = this.tail && hasStarted && !ofTheNode;
    const waitedMs = performance.now() - this.lastProgressMs;
    if (!endless && waitedMs >= (this.contacted ? timeoutMs : connectTimeoutMs)) {
      throw failure.code === 'UNREACHABLE' ? unreachableError(hosts, failure) : failure;
    }
    return this.backOff.nextMs();
  }
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new FlotillaError('CANCELLED', 'the read was stopped');
}
