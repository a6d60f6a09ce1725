import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type ChannelOptions, experimental, Metadata, status as Status } from '@grpc/grpc-js';
import { LIMITS, messageOf } from '../base/index.js';

/** Scheme of the targets that get their addresses from a {@link Dialling}. */
const SCHEME = 'flotilla';

/** Options of this prefix stay with the channel: its connections do not see them. */
const OPTION = `${experimental.SUBCHANNEL_ARGS_EXCLUDE_KEY_PREFIX}.dialling`;

/**
 * All that one channel dials. grpc-js does not let go of a closed channel for certain: a watcher of its state, an
 * address that is just being handed over, or a back-off that is running makes it dial again, for ever; a socket waits
 * for a peer that does not answer. So addresses come from here, and with them the sockets: what is given up here is
 * never dialled again.
 */
export class Dialling {
  private readonly sockets = new AbortController();
  private ended = false;

  /** Options and target of the channel to `address`, which is HOST:PORT. */
  channelTo(address: string): { readonly target: string; readonly options: ChannelOptions } {
    experimental.registerResolver(SCHEME, AddressResolver);
    return { target: `${SCHEME}:${address}`, options: { [OPTION]: this } };
  }

  get stopped(): boolean {
    return this.ended;
  }

  /** From now on nothing is dialled; connections that stand go on. */
  stop(): void {
    this.ended = true;
  }

  /** Closes every socket that was ever dialled, however far it has come. */
  destroySockets(): void {
    this.stop();
    this.sockets.abort();
  }

  /** An address as `net.connect` takes it: it belongs to no connection any more once this is stopped. */
  addressOf(host: string, port: number): experimental.SubchannelAddress {
    const stopped = (): boolean => this.ended;
    const { signal } = this.sockets;
    return {
      host,
      port,
      // Node reads it when it makes the socket, and destroys the socket with it.
      get signal(): AbortSignal {
        if (stopped()) throw new Error('nothing is dialled any more');
        return signal;
      },
    } as experimental.SubchannelAddress;
  }
}

type Listener = experimental.ResolverListener;

/**
 * Tells a channel the addresses of its host: at once where it is an IP address, else whenever it asks, though not too
 * often.
 */
class AddressResolver implements experimental.Resolver {
  private readonly dialling: Dialling;
  private readonly host: string;
  private readonly port: number;
  private readonly listener: Listener;
  private timer: NodeJS.Timeout | undefined;
  private lookedUpMs = Number.NEGATIVE_INFINITY;
  /** The result of a lookup under way is dropped once this has changed. */
  private round = 0;
  private busy = false;

  constructor(target: experimental.GrpcUri, listener: Listener, options: ChannelOptions) {
    const colon = target.path.lastIndexOf(':');
    this.host = target.path.slice(0, colon).replace(/^\[|\]$/g, '');
    this.port = Number(target.path.slice(colon + 1));
    this.listener = listener;
    this.dialling = options[OPTION] as Dialling;
  }

  static getDefaultAuthority({ path }: experimental.GrpcUri): string {
    return path;
  }

  updateResolution(): void {
    if (this.busy || this.dialling.stopped) return;
    this.busy = true;
    const { round } = this;
    if (isIP(this.host) !== 0) {
      // Never tells it again, for it does not change: `busy` stays.
      setImmediate(() =>
        this.tell(round, { ok: true, value: [{ addresses: [this.dialling.addressOf(this.host, this.port)] }] }),
      );
      return;
    }
    const waitMs = this.lookedUpMs + LIMITS.reconnectBackoffMsMax - performance.now();
    if (waitMs <= 0) void this.lookUp(round);
    else this.timer = setTimeout(() => void this.lookUp(round), waitMs).unref();
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.round++;
    this.busy = false;
  }

  private async lookUp(round: number): Promise<void> {
    this.lookedUpMs = performance.now();
    const found = await lookup(this.host, { all: true }).then(
      (list) =>
        ({
          ok: true,
          value: list.map(({ address }) => ({ addresses: [this.dialling.addressOf(address, this.port)] })),
        }) as const,
      (error: unknown) => ({ ok: false, error: unresolved(this.host, error) }) as const,
    );
    if (round === this.round) this.busy = false;
    this.tell(round, found);
  }

  private tell(round: number, found: Parameters<Listener>[0]): void {
    if (round === this.round && !this.dialling.stopped) this.listener(found, {}, null, '');
  }
}

function unresolved(host: string, error: unknown): { code: Status; details: string; metadata: Metadata } {
  return {
    code: Status.UNAVAILABLE,
    details: `Name resolution failed for ${host}: ${messageOf(error)}`,
    metadata: new Metadata(),
  };
}
