import {
  type ActorId,
  assert,
  FlotillaError,
  type GroupId,
  groupId,
  LIMITS,
  type LogIndex,
  logIndex,
} from '../base/index.js';
import type { ProducerStamp } from '../event/index.js';
import type { Message } from '../raft/index.js';
import type { LinkState, Logger, NodeTransport, PeerEvents, Proposed } from '../replica/index.js';
import { type CallContext, type DuplexStream, RpcClient } from '../rpc/index.js';
import {
  type ClockMessage,
  clockMessageFromProto,
  clockMessageToProto,
  isAllClocks,
  type LogRecord,
  type Member,
  type Membership,
  nodeHeartbeat,
  openRecord,
  type PackedBody,
  type PeerMessage,
  peerMessageFromProto,
  peerMessageToProto,
  proto,
  requestsOf,
  stampFromPeer,
  voucherToProto,
} from '../wire/index.js';

import { Acceptances } from './acceptances.js';
import { AddressBook } from './address-book.js';
import { readApplication } from './application.js';
import { PeerConnection } from './connection.js';
import { askOnce, firstOf } from './exchange.js';
import { CallerHandshake, proofIn, required } from './handshake.js';
import type { Hello, LinkKind } from './hello.js';
import { memberToProto, requireReachable } from './introducer.js';
import { Refusals } from './refusals.js';
import { type Visit, Visitors, type VisitorsOptions } from './visitors.js';

export interface PeerLinksOptions extends VisitorsOptions {
  /** Counts this node's starts, durably; at least 1. */
  readonly bootCounter: number;
  /** Ids of the latest of them, this one's last. */
  readonly boots: readonly string[];
  /** The cluster's members, this node among them. */
  readonly members: readonly Member[];
  readonly events: PeerEvents;
  /** Throws INVALID_ARGUMENT or MESSAGE_TOO_LARGE where a client's batch would be refused for it. */
  readonly checkBody: (body: PackedBody) => void;
  /** Called when a peer has opened a link to this node: it says who and where it is. */
  readonly onCaller: () => void;
  /**
   * Called with what this node can't survive: a peer sends what only a newer version knows, or says that this node's
   * data is older than it was.
   */
  readonly onFatal: (error: FlotillaError) => void;
  readonly logger: Logger;
}

/** The two connections that this node dials to one peer. */
interface Link {
  readonly member: Member;
  readonly control: PeerConnection;
  readonly bulk: PeerConnection;
}

/** What a message without records takes of a queue's bound; generously. */
const MESSAGE_BYTES = 64;

/**
 * The links to all other members. A node talks on the connections that it has
 * dialled itself and listens on those that others have: each direction of a
 * pair fails, and is dialled again, by itself. See docs/internals/links.md.
 */
export class PeerLinks implements NodeTransport {
  private readonly options: PeerLinksOptions;
  private readonly visitors: Visitors;
  private readonly links = new Map<ActorId, Link>();
  private readonly addresses = new AddressBook();
  private readonly acceptances = new Acceptances();
  private readonly refusals: Refusals;
  private state: 'made' | 'started' | 'closed' = 'made';

  constructor(options: PeerLinksOptions) {
    this.options = options;
    this.visitors = new Visitors(options);
    this.refusals = new Refusals(options.logger);
    this.setMembers(options.members);
  }

  /** Dials every other member. */
  start(): void {
    assert(this.state === 'made', 'links are started once');
    this.state = 'started';
    for (const link of this.links.values()) dial(link);
  }

  /** Links follow the cluster's membership: a member that left is neither dialled nor let in any more. */
  setMembers(members: readonly Member[]): void {
    this.visitors.setMembers(members);
    this.visitors.endOutdated();
    this.follow(this.visitors.peers);
  }

  /** Has links to exactly these, but for this node itself. */
  private follow(peers: readonly Member[]): void {
    const others = new Map(
      peers.filter(({ actor }) => actor !== this.options.self.actor).map((peer) => [peer.actor, peer]),
    );
    for (const [actor, link] of this.links) {
      if (link.member.instance === others.get(actor)?.instance) continue;
      closeLink(link);
      this.links.delete(actor);
    }
    const instances = new Set([...others.values()].map(({ instance }) => instance));
    this.addresses.retain(instances);
    this.acceptances.retain(instances);
    for (const member of others.values()) {
      this.addresses.know(member);
      if (this.links.has(member.actor)) continue;
      const link = { member, control: this.connection(member, 'control'), bulk: this.connection(member, 'bulk') };
      this.links.set(member.actor, link);
      if (this.state === 'started') dial(link);
    }
  }

  /** The peers that call this node now, and where they say that they are. */
  callers(): Hello[] {
    return this.visitors.callers();
  }

  /** Peers that can't be reached, where this node looks for them. */
  missing(): Member[] {
    return [...this.links.values()].filter(({ control }) => control.linkState !== 'open').map(({ member }) => member);
  }

  /** Somebody says that a node is there; where it is a peer that can't be reached, it is looked for there, too. */
  hearOf(node: Member): void {
    const link = this.links.get(node.actor);
    if (link?.member.instance !== node.instance || link.control.linkState === 'open') return;
    if (this.addresses.hearOf(node) && this.state === 'started') dial(link);
  }

  /** Where a peer is, as far as it is known here: by itself before anybody else. */
  located(member: Member): Member {
    const [address = member.address] = this.addresses.addressesOf(member.instance);
    return { ...member, address };
  }

  /** How the link to each peer stands; `open` where small messages get through. */
  states(): ReadonlyMap<ActorId, LinkState> {
    return new Map([...this.links].map(([actor, { control }]) => [actor, control.linkState]));
  }

  send(to: ActorId, group: GroupId, message: Message, records: readonly LogRecord[]): boolean {
    const link = this.links.get(to);
    if (link === undefined || !this.visitors.mayTell(to, message)) return false;
    let bytes = MESSAGE_BYTES;
    for (const record of records) bytes += record.bytes.byteLength;
    if (message.type === 'snapshot') bytes += message.data.byteLength;
    const connection = message.type === 'append' || message.type === 'snapshot' ? link.bulk : link.control;
    return connection.deliver(peerMessageToProto({ group, message, records }), bytes);
  }

  heartbeat(to: ActorId): void {
    this.links.get(to)?.control.deliver(nodeHeartbeat(), MESSAGE_BYTES);
  }

  tellClock(to: ActorId, message: ClockMessage): void {
    this.links.get(to)?.control.deliver(clockMessageToProto(message), MESSAGE_BYTES);
  }

  async forward(to: ActorId, group: GroupId, body: PackedBody, stamp: ProducerStamp): Promise<Proposed> {
    const proposed = this.links.get(to)?.bulk.forward(group, body, stamp);
    if (proposed === undefined)
      throw new FlotillaError(
        'NO_LEADER',
        `the link to the leader, actor ${to}, is down; nothing was proposed: try again`,
      );
    return await proposed;
  }

  /** The server's side of Deliver: ends when the caller's stream does, or a newer one takes its place. */
  async deliver(stream: DuplexStream<proto.DeliverRequest, proto.DeliverResponse>, call: CallContext): Promise<void> {
    const visit = await this.greet(call, 'Deliver');
    const received = stream.receive((frame) => {
      if (!visit.current) return this.letIn(visit, 'Deliver', proofIn(frame), call, () => stream.send({}));
      const accepted = this.acceptances.of(visit.visitor.instance);
      return accepted === undefined ? this.take(visit, frame) : accepted.then(() => this.take(visit, frame));
    });
    await this.lasting(visit, received);
  }

  private take(visit: Visit, frame: proto.DeliverRequest): void {
    if (!visit.current) return;
    // That clocks are compared says nothing of the groups that lean on a node.
    if (!isAllClocks(frame)) this.options.events.onHeard(visit.from);
    for (const request of requestsOf(frame)) {
      const clock = clockMessageFromProto(request);
      if (clock === undefined) this.takeMessage(visit, request);
      else this.options.events.onClock(visit.from, clock);
    }
  }

  private takeMessage({ from }: Visit, request: proto.DeliverRequest): void {
    const { group, message, records } = this.read(request);
    if (!this.visitors.mayHear(from, message)) return;
    this.options.events.onMessage(from, group, message, records);
  }

  /**
   * What only a newer version can have written is never passed over: this node would hold another log than the others.
   */
  private read(request: proto.DeliverRequest): PeerMessage {
    try {
      return peerMessageFromProto(request);
    } catch (error) {
      if (error instanceof FlotillaError && error.code === 'UPGRADE_NEEDED') this.options.onFatal(error);
      throw error;
    }
  }

  /** The server's side of Forward. */
  async forwarded(stream: DuplexStream<proto.ForwardRequest, proto.ForwardResponse>, call: CallContext): Promise<void> {
    const visit = await this.greet(call, 'Forward');
    let underWay = 0;
    const received = stream.receive((request) => {
      if (!visit.current)
        return this.letIn(visit, 'Forward', request.proof, call, () =>
          stream.send({ requestId: 0, outcome: undefined }),
        );
      if (underWay >= LIMITS.pendingProposals)
        throw new FlotillaError('TOO_MANY_REQUESTS', 'more batches are under way than a node may forward');
      underWay++;
      this.propose(visit, request).then(
        (outcome) => {
          underWay--;
          void stream.send({ requestId: request.requestId, outcome });
        },
        (error: unknown) => visit.end(error),
      );
      return undefined;
    });
    await this.lasting(visit, received);
  }

  /** Ends all streams and forgets all peers. Forwarded batches without an answer have an unknown outcome. */
  async close(): Promise<void> {
    this.state = 'closed';
    for (const link of this.links.values()) closeLink(link);
    this.links.clear();
    this.visitors.endAll(new FlotillaError('SHUTTING_DOWN', 'the node is stopping'));
  }

  /**
   * What became of a forwarded batch. Rejects only with what is none of our errors: a defect, which ends the stream.
   */
  private async propose(
    visit: Visit,
    { group, packed, producer }: proto.ForwardRequest,
  ): Promise<NonNullable<proto.ForwardResponse['outcome']>> {
    try {
      if (packed === undefined) throw new FlotillaError('INVALID_ARGUMENT', 'packed: is missing');
      // The node that took it in has done so, too; but what enters the log here stays there, whatever that node is.
      this.options.checkBody(packed);
      const stamp = stampFromPeer(producer);
      const { firstCounter, actor, index, term } = await this.options.events.onForward(
        visit.from,
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
  async fetched(
    stream: DuplexStream<proto.FetchRecordsRequest, proto.FetchRecordsResponse>,
    call: CallContext,
  ): Promise<void> {
    const visit = await this.greet(call, 'FetchRecords');
    const { group, fromIndex, toIndex, proof } = await firstOf(stream);
    await this.recognised(call, () => this.visitors.recognise(visit, required(proof)));
    const records = await this.options.events.onFetch(groupId(group), logIndex(fromIndex), logIndex(toIndex));
    await stream.send({ records: records.map(({ bytes }) => bytes) });
  }

  /** Committed records as another member holds them; none where it does not. Throws where it can't be asked. */
  async fetch(
    from: ActorId,
    group: GroupId,
    range: { readonly from: LogIndex; readonly to: LogIndex },
  ): Promise<LogRecord[]> {
    const link = this.links.get(from);
    if (link === undefined) throw new FlotillaError('UNREACHABLE', `actor ${from} is no peer of this node`);
    // A connection of its own: records that are sought again must not hold up those that are new.
    const client = new RpcClient(proto.PeerServiceDefinition, this.located(link.member).address);
    try {
      const handshake = new CallerHandshake(this.helloTo(link.member, 'bulk'), this.options.key, 'FetchRecords');
      const call = client.duplex('fetchRecords', { metadata: handshake.metadata, timeoutMs: LIMITS.repairFetchMs });
      const { records } = await askOnce(call, handshake, () => ({
        group,
        fromIndex: range.from,
        toIndex: range.to,
        proof: { signature: handshake.signature(), vouchers: this.ownVouchers() },
      }));
      return records.map(openRecord);
    } finally {
      client.close();
    }
  }

  /**
   * The server's side of Join: `takeIn` is told who has proved to be who asks, can be reached, and in whose place it
   * asks.
   */
  async joining(
    stream: DuplexStream<proto.JoinRequest, proto.JoinResponse>,
    call: CallContext,
    takeIn: (joiner: Member, predecessor: string | undefined) => Promise<Pick<Membership, 'members' | 'vouchers'>>,
  ): Promise<void> {
    const { handshake } = await this.greet(call, 'Join');
    const request = await firstOf(stream);
    const { members, vouchers = [] } = await this.recognised(call, async () => {
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

  private async greet(call: CallContext, method: string): Promise<Visit> {
    return await this.recognised(call, async () => this.visitors.greet(call, method));
  }

  private async recognised<Result>(call: CallContext, recognise: () => Promise<Result>): Promise<Result> {
    try {
      if (this.state !== 'started')
        throw new FlotillaError('NOT_READY', 'the node does not take part in the cluster yet, or no longer');
      return await recognise();
    } catch (error) {
      if (error instanceof FlotillaError) this.refusals.log(`${call.peer} was refused`, error);
      throw error;
    }
  }

  private async letIn(
    visit: Visit,
    method: string,
    proof: proto.Proof | undefined,
    call: CallContext,
    welcome: () => unknown,
  ): Promise<void> {
    await this.recognised(call, () => this.visitors.admit(visit, method, required(proof)));
    // The caller takes it for the news that the link stands.
    welcome();
    this.follow(this.visitors.peers);
    // Who dials is there to be dialled, and where it says.
    const link = this.links.get(visit.from);
    if (link !== undefined) this.addresses.hear(visit.visitor) ? readdress(link) : dial(link);
    this.options.onCaller();
  }

  private async lasting(visit: Visit, received: Promise<void>): Promise<void> {
    try {
      await visit.lasting(received);
    } catch (error) {
      const expected = error instanceof FlotillaError && (error.code === 'CANCELLED' || error.code === 'SHUTTING_DOWN');
      if (!expected) this.options.logger.warn({ peer: visit.from, error }, 'a stream from a peer was ended');
      throw error;
    }
  }

  private connection(member: Member, kind: LinkKind): PeerConnection {
    const { events, logger } = this.options;
    return new PeerConnection({
      addresses: () => this.addresses.addressesOf(member.instance),
      hello: () => this.helloTo(member, kind),
      key: this.options.key,
      vouchers: () => this.ownVouchers(),
      queueBytes: kind === 'control' ? LIMITS.peerControlBytes : LIMITS.peerBulkBytes,
      onState: (state) => {
        logger.debug({ peer: member.actor, link: kind, state }, 'a link has changed');
        if (state === 'open') this.acceptances.accepted(member.instance);
        if (kind !== 'control') return;
        logger.info(
          { peer: member.actor, address: this.located(member).address, state },
          `the link to a peer is ${state}`,
        );
        events.onLink(member.actor, state);
      },
      onFailure: (failure, address) => {
        if (failure?.code === 'ROLLED_BACK') this.options.onFatal(failure);
        if (
          failure !== undefined &&
          this.refusals.log(`actor ${member.actor} at ${address} refuses this node`, failure)
        )
          return;
        const fields = { peer: member.actor, link: kind, failure: failure?.message ?? 'no answer' };
        logger.debug(fields, 'a link was lost or could not be opened');
      },
    });
  }

  private ownVouchers(): proto.Voucher[] {
    return this.options.vouchers().map(voucherToProto);
  }

  private helloTo(wanted: Member, link: LinkKind): Hello {
    const { clusterId, self, bootCounter, boots, versions } = this.options;
    return { clusterId, ...self, bootCounter, boots, versions: versions(), link, wanted };
  }
}

function dial({ control, bulk }: Link): void {
  control.dialNow();
  bulk.dialNow();
}

function readdress({ control, bulk }: Link): void {
  control.readdress();
  bulk.readdress();
}

function closeLink({ control, bulk }: Link): void {
  control.close();
  bulk.close();
}
