import { FlotillaError, groupId, LIMITS, logIndex, type Member, type Voucher } from '../base/index.js';
import type { Logger } from '../group/index.js';
import type { CallContext, DuplexStream } from '../rpc/index.js';
import type { PeerEvents } from '../stream/index.js';
import {
  clockMessageFromProto,
  isAllClocks,
  type PackedBody,
  type PeerMessage,
  peerMessageFromProto,
  type proto,
  requestsOf,
  stampFromProto,
  voucherToProto,
} from '../wire/index.js';
import type { Acceptances } from './acceptances.js';
import { readApplication } from './application.js';
import { memberToProto, requireReachable } from './discovery-client.js';
import { firstOf } from './exchange.js';
import { proofIn, required } from './handshake.js';

import type { InboundStream, InboundStreams } from './inbound-streams.js';
import type { Refusals } from './refusals.js';
import { mayHear } from './stand-ins.js';

/** What a node is told that was taken in. */
export interface Joined {
  readonly members: readonly Member[];
  readonly vouchers: readonly Voucher[];
}

export interface PeerServerOptions {
  readonly clusterId: string;
  readonly self: Member;
  readonly events: PeerEvents;
  /** Throws INVALID_ARGUMENT or MESSAGE_TOO_LARGE where a client's batch would be refused for it. */
  readonly checkBody: (body: PackedBody) => void;
  readonly streams: InboundStreams;
  readonly acceptances: Acceptances;
  readonly refusals: Refusals;
  /** A peer was let in by this stream. */
  readonly onAdmitted: (inbound: InboundStream) => void;
  /** A peer has sent what only a newer version knows. */
  readonly onFatal: (error: FlotillaError) => void;
  readonly logger: Logger;
}

/** The server's side of the peer service: what other nodes say on the streams that they have opened here. */
export class PeerServer {
  private readonly options: PeerServerOptions;
  private readonly streams: InboundStreams;
  private isOpen = false;

  constructor(options: PeerServerOptions) {
    this.options = options;
    this.streams = options.streams;
  }

  /** Lets peers in from now on. */
  open(): void {
    this.isOpen = true;
  }

  close(): void {
    this.isOpen = false;
    this.streams.endAll(new FlotillaError('SHUTTING_DOWN', 'the node is stopping'));
  }

  /** The server's side of Deliver: ends when the caller's stream does, or a newer one takes its place. */
  async deliver(stream: DuplexStream<proto.DeliverRequest, proto.DeliverResponse>, call: CallContext): Promise<void> {
    const inbound = await this.greet(call, 'Deliver');
    const received = stream.receive((frame) => {
      if (!inbound.current) return this.letIn(inbound, proofIn(frame), () => stream.send({}));
      const accepted = this.options.acceptances.of(inbound.caller.instance);
      return accepted === undefined ? this.take(inbound, frame) : accepted.then(() => this.take(inbound, frame));
    });
    await this.lasting(inbound, received);
  }

  private take(inbound: InboundStream, frame: proto.DeliverRequest): void {
    if (!inbound.current) return;
    // That clocks are compared says nothing of the groups that rely on a node.
    if (!isAllClocks(frame)) this.options.events.onHeard(inbound.from);
    for (const request of requestsOf(frame)) {
      const clock = clockMessageFromProto(request);
      if (clock === undefined) this.takeMessage(inbound, request);
      else this.options.events.onClock(inbound.from, clock);
    }
  }

  private takeMessage({ from, caller }: InboundStream, request: proto.DeliverRequest): void {
    const { events } = this.options;
    const { group, message, records } = this.read(request);
    if (mayHear(message, caller, events.seatOf(group, from))) events.onMessage(from, group, message, records);
  }

  /** A message that only a newer version can have written is fatal: without it this node would hold another log. */
  private read(request: proto.DeliverRequest): PeerMessage {
    try {
      return peerMessageFromProto(request);
    } catch (error) {
      if (error instanceof FlotillaError && error.code === 'UPGRADE_NEEDED') this.options.onFatal(error);
      throw error;
    }
  }

  /** The server's side of Forward. */
  async forward(stream: DuplexStream<proto.ForwardRequest, proto.ForwardResponse>, call: CallContext): Promise<void> {
    const inbound = await this.greet(call, 'Forward');
    let underWay = 0;
    const received = stream.receive((request) => {
      if (!inbound.current)
        return this.letIn(inbound, request.proof, () => stream.send({ requestId: 0, outcome: undefined }));
      if (underWay >= LIMITS.pendingProposals)
        throw new FlotillaError('TOO_MANY_REQUESTS', 'more batches are under way than a node may forward');
      underWay++;
      this.propose(inbound, request).then(
        (outcome) => {
          underWay--;
          void stream.send({ requestId: request.requestId, outcome });
        },
        (error: unknown) => inbound.end(error),
      );
      return undefined;
    });
    await this.lasting(inbound, received);
  }

  /** What became of a forwarded batch. Rejects only with a defect, which ends the stream. */
  private async propose(
    inbound: InboundStream,
    { group, packed, producer }: proto.ForwardRequest,
  ): Promise<NonNullable<proto.ForwardResponse['outcome']>> {
    try {
      if (packed === undefined) throw new FlotillaError('INVALID_ARGUMENT', 'packed: is missing');
      // The node that took the batch in has checked it, too; but what enters the log here stays, whatever that node is.
      this.options.checkBody(packed);
      const stamp = stampFromProto(producer);
      const { firstCounter, actor, index, term } = await this.options.events.onForward(
        inbound.from,
        groupId(group),
        packed,
        stamp,
      );
      return { $case: 'proposed', value: { firstCounter, logIndex: index, term, actorId: actor } };
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      return { $case: 'failure', value: { code: error.code, message: error.message } };
    }
  }

  /** The server's side of FetchRecords. */
  async fetchRecords(
    stream: DuplexStream<proto.FetchRecordsRequest, proto.FetchRecordsResponse>,
    call: CallContext,
  ): Promise<void> {
    const inbound = await this.greet(call, 'FetchRecords');
    const { group, fromIndex, toIndex, proof } = await firstOf(stream);
    await this.recognised(call.peer, () => this.streams.recognise(inbound, required(proof)));
    const records = await this.options.events.onFetch(groupId(group), logIndex(fromIndex), logIndex(toIndex));
    await stream.send({ records: records.map(({ bytes }) => bytes) });
  }

  /**
   * The server's side of Join. `takeIn` is told of a node that has proved its identity and can be reached, and of the
   * instance in whose place it asks to be taken in.
   */
  async join(
    stream: DuplexStream<proto.JoinRequest, proto.JoinResponse>,
    call: CallContext,
    takeIn: (joiner: Member, predecessor: string | undefined) => Promise<Joined>,
  ): Promise<void> {
    const { handshake } = await this.greet(call, 'Join');
    const request = await firstOf(stream);
    const { members, vouchers } = await this.recognised(call.peer, async () => {
      const { joiner, predecessor } = readApplication(handshake, request);
      await requireReachable(joiner, this.options.self);
      return await takeIn(joiner, predecessor);
    });
    await stream.send({
      clusterId: this.options.clusterId,
      members: members.map(memberToProto),
      vouchers: vouchers.map(voucherToProto),
    });
  }

  private async greet(call: CallContext, method: string): Promise<InboundStream> {
    return await this.recognised(call.peer, async () => this.streams.greet(call, method));
  }

  private async recognised<Result>(origin: string, recognise: () => Promise<Result>): Promise<Result> {
    try {
      if (!this.isOpen)
        throw new FlotillaError('NOT_READY', 'the node does not take part in the cluster yet, or no longer');
      return await recognise();
    } catch (error) {
      if (error instanceof FlotillaError) this.options.refusals.log(`${origin} was refused`, error);
      throw error;
    }
  }

  /** `welcome` sends what the caller takes for the news that the link stands. */
  private async letIn(inbound: InboundStream, proof: proto.Proof | undefined, welcome: () => unknown): Promise<void> {
    await this.recognised(inbound.origin, () => this.streams.admit(inbound, required(proof)));
    welcome();
    this.options.onAdmitted(inbound);
  }

  private async lasting(inbound: InboundStream, received: Promise<void>): Promise<void> {
    try {
      await inbound.lasting(received);
    } catch (error) {
      const expected = error instanceof FlotillaError && (error.code === 'CANCELLED' || error.code === 'SHUTTING_DOWN');
      if (!expected) this.options.logger.warn({ peer: inbound.from, error }, 'a stream from a peer was ended');
      throw error;
    }
  }
}
