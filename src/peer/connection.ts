import { FlotillaError, LIMITS, present } from '../base/index.js';
import type { ProducerStamp } from '../event/index.js';
import type { LinkState } from '../group/index.js';
import { type ClientDuplex, type ClientReadable, RpcClient } from '../rpc/index.js';
import { type NodeKey, proto, stampToProto } from '../wire/index.js';
import { CallerHandshake } from './handshake.js';
import { foreign, type Hello } from './hello.js';
import { PendingForwards } from './pending-forwards.js';
import { TurnFrame } from './turn-frame.js';

type DeliverCall = ClientDuplex<proto.DeliverRequest, proto.DeliverResponse>;
type ForwardCall = ClientDuplex<proto.ForwardRequest, proto.ForwardResponse>;

export interface ConnectionOptions {
  /** The addresses at which the peer may be, the likeliest first; at least one. Asked before each attempt. */
  readonly addresses: () => readonly string[];
  /** As it is at the time of an attempt. */
  readonly hello: () => Hello;
  readonly key: NodeKey;
  /** They make this node a member for a peer whose log does not name it yet. */
  readonly vouchers: () => proto.Voucher[];
  /** Bytes that may wait here for the connection to take them. */
  readonly queueBytes: number;
  readonly onState: (state: LinkState) => void;
  /** Why an attempt, or a connection that stood, came to its end. */
  readonly onFailure: (failure: FlotillaError | undefined, address: string) => void;
}

/** One attempt, from the dialling until it is lost. `standing` once the peer has let this node in. */
interface Attempt {
  readonly address: string;
  /** It goes to the likeliest address: elsewhere, a refusal says nothing of the peer. */
  readonly isLikeliest: boolean;
  readonly client: RpcClient<typeof proto.PeerServiceDefinition>;
  readonly deliver: DeliverCall;
  readonly frame: TurnFrame;
  readonly forward: ForwardCall | undefined;
  readonly forwards: PendingForwards;
  standing: boolean;
  openedAtMs: number;
  queuedBytes: number;
}

/**
 * One connection that this node dials to a peer, and dials again for as long
 * as it is wanted. Each attempt has a channel of its own: grpc-js's back-off
 * would keep a peer that is back waiting, and hide why the last dial failed.
 */
export class PeerConnection {
  private readonly options: ConnectionOptions;
  private attempt: Attempt | undefined;
  private timer: NodeJS.Timeout | undefined;
  private backoffMs = 0;
  /** Attempts in a row that came to nothing: each goes to the next address. */
  private failures = 0;
  private state: LinkState = 'closed';
  private ended = false;

  constructor(options: ConnectionOptions) {
    this.options = options;
  }

  get linkState(): LinkState {
    return this.state;
  }

  /** Dials now instead of after the wait that is running: the peer was heard of. */
  dialNow(): void {
    if (this.ended || this.attempt !== undefined) return;
    this.backoffMs = 0;
    this.dial();
  }

  /** The peer is at another address than before. */
  readdress(): void {
    const [likeliest] = this.options.addresses();
    this.failures = 0;
    if (this.attempt !== undefined && this.attempt.address !== likeliest) this.lost(this.attempt, undefined);
    this.dialNow();
  }

  /**
   * Goes out with this turn of the event loop. False, and nothing sent, where the connection does not stand or too much
   * waits for it.
   */
  deliver(request: proto.DeliverRequest, bytes: number): boolean {
    const { attempt } = this;
    if (attempt?.standing !== true || !this.hasCapacity(attempt, bytes)) return false;
    attempt.queuedBytes += bytes;
    attempt.frame.add(request, bytes);
    return true;
  }

  /** Undefined, and nothing sent, where the connection does not stand. */
  forward(
    group: number,
    packed: proto.PackedBody,
    stamp: ProducerStamp,
  ): ReturnType<PendingForwards['add']> | undefined {
    const { attempt } = this;
    const forward = attempt?.forward;
    if (attempt?.standing !== true || forward === undefined) return undefined;
    const producer = stampToProto(stamp);
    return attempt.forwards.add(
      packed.body.byteLength,
      (requestId) => void forward.send({ requestId, group, packed, producer, proof: undefined }),
    );
  }

  close(): void {
    this.ended = true;
    clearTimeout(this.timer);
    if (this.attempt !== undefined) this.discard(this.attempt);
  }

  private hasCapacity(attempt: Attempt, bytes: number): boolean {
    return attempt.queuedBytes === 0 || attempt.queuedBytes + bytes <= this.options.queueBytes;
  }

  private dial(): void {
    clearTimeout(this.timer);
    const { addresses } = this.options;
    const hello = this.options.hello();
    const candidates = addresses();
    const position = this.failures % candidates.length;
    const address = present(candidates[position], 'a peer has an address');
    const client = new RpcClient(proto.PeerServiceDefinition, address, {
      keepaliveTimeMs: LIMITS.peerKeepaliveMs,
      keepaliveTimeoutMs: LIMITS.peerKeepaliveMs,
    });
    const { key } = this.options;
    const deliverHandshake = new CallerHandshake(hello, key, 'Deliver');
    const forwardHandshake = new CallerHandshake(hello, key, 'Forward');
    const deliver = client.duplex('deliver', deliverHandshake);
    const forward = hello.link === 'bulk' ? client.duplex('forward', forwardHandshake) : undefined;
    const frame = new TurnFrame((request, bytes) => {
      // Bounded by queueBytes; whether the stream wants a pause does not matter here.
      void deliver.send(request, () => {
        attempt.queuedBytes -= bytes;
      });
    });
    const attempt: Attempt = {
      address,
      isLikeliest: position === 0,
      client,
      deliver,
      frame,
      forward,
      forwards: new PendingForwards(hello.actor),
      standing: false,
      openedAtMs: 0,
      queuedBytes: 0,
    };
    this.attempt = attempt;
    this.watch(attempt, deliverHandshake, forwardHandshake);
    this.timer = setTimeout(() => this.lost(attempt, undefined), LIMITS.peerDialTimeoutMs).unref();
  }

  /** An attempt stands when each of its streams was let in, and is lost with the first that ends. */
  private watch(attempt: Attempt, deliverHandshake: CallerHandshake, forwardHandshake: CallerHandshake): void {
    const { deliver, forward, forwards } = attempt;
    let awaited = forward === undefined ? 1 : 2;
    const onLetIn = (): void => {
      awaited--;
      if (awaited === 0) this.stands(attempt);
    };
    const onEnd = (failure: FlotillaError | undefined): void => this.lost(attempt, failure);
    const proof = (handshake: CallerHandshake): proto.Proof => ({
      signature: handshake.signature(),
      vouchers: this.options.vouchers(),
    });
    watchStream(deliver, deliverHandshake, {
      prove: () =>
        void deliver.send({ group: 0, message: { $case: 'proof', value: proof(deliverHandshake) }, more: [] }),
      onLetIn,
      onEnd,
      // Answers to what is delivered travel on the peer's own connection.
      onResponse: () => undefined,
    });
    if (forward === undefined) return;
    watchStream(forward, forwardHandshake, {
      prove: () =>
        void forward.send({
          requestId: 0,
          group: 0,
          packed: undefined,
          producer: undefined,
          proof: proof(forwardHandshake),
        }),
      onLetIn,
      onEnd,
      onResponse: (response) => forwards.settle(response),
    });
  }

  private stands(attempt: Attempt): void {
    if (this.attempt !== attempt) return;
    clearTimeout(this.timer);
    attempt.standing = true;
    this.failures = 0;
    attempt.openedAtMs = performance.now();
    this.enter('open');
  }

  private lost(attempt: Attempt, failure: FlotillaError | undefined): void {
    if (this.attempt !== attempt) return;
    const stoodMs = attempt.standing ? performance.now() - attempt.openedAtMs : 0;
    this.discard(attempt);
    if (this.ended) return;
    this.options.onFailure(failure, attempt.address);
    if (!attempt.standing) this.failures++;
    // One that is let in and thrown out at once would be dialled without end.
    if (stoodMs >= LIMITS.reconnectBackoffMsMax) this.backoffMs = 0;
    this.timer = setTimeout(() => this.dial(), this.backoffMs * (0.75 + Math.random() / 2)).unref();
    this.backoffMs = Math.min(Math.max(this.backoffMs * 2, LIMITS.reconnectBackoffMs), LIMITS.reconnectBackoffMsMax);
    if (attempt.standing || attempt.isLikeliest) this.enter(wasRefused(failure) ? 'refused' : 'closed');
  }

  private discard(attempt: Attempt): void {
    this.attempt = undefined;
    clearTimeout(this.timer);
    attempt.deliver.cancel();
    attempt.forward?.cancel();
    attempt.client.close();
    attempt.forwards.abandon();
  }

  private enter(state: LinkState): void {
    if (this.state === state) return;
    this.state = state;
    this.options.onState(state);
  }
}

/** Proves this node's identity to the other side, once the other side has proved its own. */
function watchStream<Response>(
  stream: ClientReadable<Response>,
  handshake: CallerHandshake,
  on: {
    readonly prove: () => void;
    readonly onLetIn: () => void;
    readonly onEnd: (failure: FlotillaError | undefined) => void;
    readonly onResponse: (response: Response) => void;
  },
): void {
  stream.onHeaders((header) => {
    try {
      handshake.takeHeaders(header);
      on.prove();
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      on.onEnd(error);
    }
  });
  let isLetIn = false;
  const take = (response: Response): void => {
    if (isLetIn) {
      on.onResponse(response);
      return;
    }
    isLetIn = true;
    on.onLetIn();
  };
  // The end is told by `ended`, which does not wait for responses that are still to be taken in.
  stream.receive(take).catch(() => undefined);
  void stream.ended.then((failure) => on.onEnd(handshake.isProved ? failure : unproved(failure)));
}

/** A node that has not proved to be the peer must not make this one set its data aside. */
function unproved(failure: FlotillaError | undefined): FlotillaError | undefined {
  return failure?.code === 'ROLLED_BACK'
    ? foreign(`the node that listens there does not prove its identity, and says: ${failure.message}`)
    : failure;
}

/** Whether the peer's machine said that nothing listens there; a lost packet or a pause says nothing. */
function wasRefused(failure: FlotillaError | undefined): boolean {
  return failure?.code === 'UNREACHABLE' && failure.message.includes('ECONNREFUSED');
}
