import { FlotillaError, isErrorCode, messageOf } from '../../base/index.js';
import { type ClientDuplex, RpcClient } from '../../rpc/index.js';
import { type PackedBody, proto } from '../../wire/index.js';
import { connected, KEEPALIVE } from '../connection/connect.js';
import type { ProduceLink, ProduceLinkEvents } from './produce-link.js';

/** How long a node has to end a stream that was left; then it is cancelled. */
const GOODBYE_MS = 1000;

/** A produce stream over gRPC, on a connection of its own. */
export class RpcProduceLink implements ProduceLink {
  readonly address: string;
  private readonly stream: string;
  private readonly client: RpcClient<typeof proto.EventServiceDefinition>;
  private readonly call: ClientDuplex<proto.ProduceRequest, proto.ProduceResponse>;
  private readonly events: ProduceLinkEvents;
  private failure: FlotillaError | undefined;
  private closed = false;

  private constructor(address: string, stream: string, events: ProduceLinkEvents) {
    this.address = address;
    this.stream = stream;
    this.events = events;
    this.client = new RpcClient(proto.EventServiceDefinition, address, KEEPALIVE);
    this.call = this.client.duplex('produce');
  }

  /** Rejects with UNREACHABLE, or with the node's refusal; nothing can have been sent until this resolves. */
  static async open(address: string, stream: string, events: ProduceLinkEvents): Promise<RpcProduceLink> {
    const link = new RpcProduceLink(address, stream, events);
    try {
      await connected(link.client, link.call);
    } catch (error) {
      link.call.cancel();
      link.client.close();
      throw error;
    }
    link.receive();
    return link;
  }

  get endedWith(): FlotillaError | undefined {
    return this.failure;
  }

  send(requestId: number, body: PackedBody, producer: proto.ProducerStamp): void {
    // The window of batches in flight bounds what waits here, so the answer of send() is not needed;
    // a stream that breaks is told by its end.
    void this.call.send({
      requestId: String(requestId),
      stream: this.stream,
      events: [],
      packed: { body: body.body, count: body.count, checksum: body.checksum },
      producer,
    });
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.failure !== undefined) return;
    this.call.end();
    const goodbye = setTimeout(() => this.call.cancel(), GOODBYE_MS);
    void this.call.ended.then(() => clearTimeout(goodbye));
    this.client.close();
  }

  private receive(): void {
    const end = (error: FlotillaError): void => {
      if (this.closed) return;
      this.failure = error;
      this.client.close();
      this.events.onEnd(this, error);
    };
    this.call
      .receive((response) => {
        if (!this.closed) this.onResponse(response);
      })
      .then(
        () => end(new FlotillaError('OUTCOME_UNKNOWN', `${this.address} ended the produce stream`)),
        (error: unknown) =>
          end(
            error instanceof FlotillaError ? error : new FlotillaError('INTERNAL', messageOf(error), { cause: error }),
          ),
      );
  }

  private onResponse(response: proto.ProduceResponse): void {
    const { outcome } = response;
    const requestId = Number(response.requestId);
    switch (outcome?.$case) {
      case 'receipt':
        this.events.onReceipt(this, requestId, outcome.value);
        return;
      case 'leader':
        this.events.onLeader(this, outcome.value.address, outcome.value.members);
        return;
      case 'failure':
        this.events.onFailure(this, requestId, errorOf(outcome.value));
        return;
      default:
        this.events.onFailure(
          this,
          requestId,
          new FlotillaError(
            'OUTCOME_UNKNOWN',
            `${this.address} answered with something that this version does not know`,
          ),
        );
    }
  }
}

/** A code that this version doesn't know says nothing certain. */
function errorOf(failure: proto.Failure): FlotillaError {
  const code = isErrorCode(failure.code) ? failure.code : 'OUTCOME_UNKNOWN';
  return new FlotillaError(code, failure.message, { leader: failure.leader === '' ? undefined : failure.leader });
}
