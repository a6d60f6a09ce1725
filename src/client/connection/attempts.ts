import { FlotillaError, LIMITS, messageOf, toFlotillaError } from '../../base/index.js';
import { type CallOptions, RpcClient, type RpcService } from '../../rpc/index.js';
import { BackOff } from './back-off.js';
import { KEEPALIVE, sleep } from './connect.js';
import type { Hosts } from './hosts.js';

/** What all calls of a client share. */
export interface ClientContext {
  readonly hosts: Hosts;
  readonly stream: string;
  /** A call fails after this time without getting any further … */
  readonly timeoutMs: number;
  /** … and after this one where no node was reached at all. */
  readonly connectTimeoutMs: number;
  readonly onConnected: (address: string) => void;
}

export interface AttemptOptions {
  /** The call has no effect: it is made again also where it is not known what became of it. */
  readonly isRead: boolean;
  /** How long one attempt may take, at most. */
  readonly attemptMs?: number;
  readonly signal: AbortSignal;
}

/**
 * The attempts of one call, at one node after another: the one place where it is decided, by the table of errors, what
 * is tried again, where, when, and for how long.
 */
export class Attempts {
  /** The node to ask now. */
  address: string;
  private readonly context: ClientContext;
  private readonly options: AttemptOptions;
  private readonly backOff = new BackOff();
  private lastProgressMs = performance.now();
  private contacted = false;

  constructor(context: ClientContext, options: AttemptOptions) {
    this.context = context;
    this.options = options;
    this.address = context.hosts.preferred;
  }

  /** What is left for the attempt that begins now. */
  get leftMs(): number {
    const leftMs = this.lastProgressMs + this.context.timeoutMs - performance.now();
    return Math.max(1, Math.min(leftMs, this.options.attemptMs ?? leftMs));
  }

  /** A node has answered. */
  contact(): void {
    this.contacted = true;
  }

  /** The call got further: its time begins anew. Being let in again and again is no progress. */
  progress(): void {
    this.contacted = true;
    this.backOff.succeeded();
    this.lastProgressMs = performance.now();
  }

  /**
   * After a failed attempt: waits, and chooses the next node. Throws where the failure is final. `goesOn`: it is not,
   * though the table says so. `isEndless`: time does not make it final either.
   */
  async failed(error: unknown, { goesOn = false, isEndless = false } = {}): Promise<void> {
    const { hosts, timeoutMs, connectTimeoutMs } = this.context;
    const { isRead, signal } = this.options;
    const failure = toFlotillaError(error);
    if (signal.aborted) throw new FlotillaError('CANCELLED', 'the call was stopped, or the client closed');
    if (!goesOn && !failure.retryable && !(isRead && failure.uncertain)) throw failure;
    if (failure.code !== 'UNREACHABLE') this.contact();
    const waitedMs = performance.now() - this.lastProgressMs;
    if (!isEndless && waitedMs >= (this.contacted ? timeoutMs : connectTimeoutMs))
      throw failure.code === 'UNREACHABLE' ? unreachableError(hosts, failure) : failure;
    this.address = isRead ? hosts.after(this.address) : (failure.leader ?? hosts.after(this.address));
    await sleep(this.backOff.nextMs(), signal);
    if (signal.aborted) throw new FlotillaError('CANCELLED', 'the call was stopped, or the client closed');
  }
}

/** Makes a call with one answer at one node after another. */
export async function askInTurn<Service extends RpcService, Result>(
  context: ClientContext,
  service: Service,
  ask: (client: RpcClient<Service>, call: CallOptions) => Promise<Result>,
  options: AttemptOptions & { readonly goesOn?: (failure: FlotillaError, waitedMs: number) => boolean },
): Promise<Result> {
  const attempts = new Attempts(context, options);
  const beginMs = performance.now();
  for (;;) {
    const client = new RpcClient(service, attempts.address, KEEPALIVE);
    try {
      const result = await ask(client, { timeoutMs: attempts.leftMs, signal: options.signal });
      context.onConnected(client.address);
      return result;
    } catch (error) {
      const failure = toFlotillaError(error);
      await attempts.failed(failure, { goesOn: options.goesOn?.(failure, performance.now() - beginMs) === true });
    } finally {
      client.close();
    }
  }
}

/** What a client says that found no node at all. */
export function unreachableError(hosts: Hosts, cause: unknown): FlotillaError {
  // Only the reason helps that stands in grpc-js's sentence: "connect ECONNREFUSED 127.0.0.1:3000".
  const reason = messageOf(cause)
    .replace(/^.*Last error: (Error: )?/s, '')
    .replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/g, '');
  const hint = reason.startsWith('Protocol error')
    ? 'what answers is no gRPC: is it the HTTP port of a node?'
    : 'is one running there?';
  return new FlotillaError('UNREACHABLE', `no node can be reached at ${hosts.all.join(', ')}; ${hint} ${reason}`, {
    cause,
  });
}

/** A cluster that has just been formed, or upgraded, raises its version within moments. */
export function mayBeUpgraded({ code }: FlotillaError, waitedMs: number): boolean {
  return code === 'UPGRADE_NEEDED' && waitedMs < LIMITS.clientUpgradeMs;
}
