import { crc32 } from 'node:zlib';
import {
  type ActorId,
  assert,
  type ErrorCode,
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
  type LogRecord,
  type Member,
  nodeHeartbeat,
  openRecord,
  type PackedBody,
  type PeerMessage,
  peerMessageFromProto,
  peerMessageToProto,
  proto,
  requestsOf,
  stampFromProto,
  type VersionRange,
} from '../wire/index.js';

import { Acceptances } from './acceptances.js';
import { AddressBook } from './address-book.js';
import { PeerConnection } from './connection.js';
import { type Hello, helloMetadata, type LinkKind } from './hello.js';
import { type BootMemory, type Visit, Visitors } from './visitors.js';

export interface PeerLinksOptions {
  readonly clusterId: string;
  readonly self: Member;
  /** Counts this node's starts, durably; at least 1. */
  readonly bootCounter: number;
  /** Ids of the latest of them, this one's last. */
  readonly boots: readonly string[];
  readonly memory: BootMemory;
  /** The cluster's members, this node among them. */
  readonly members: readonly Member[];
  /** Instances that were members once, as far as this node's log tells. */
  readonly former: Iterable<string>;
  readonly events: PeerEvents;
  /** Called when a peer has opened a link to this node: it says who and where it is. */
  readonly onCaller: () => void;
  /** What this node speaks, from the cluster's active version on. */
  readonly versions: () => VersionRange;
  /** Called with what this node can't survive: a peer sends what only a newer version knows, or says that this node's data is older than it was. */
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

/** What is said to a node that does not belong here. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['FOREIGN_NODE', 'ROLLED_BACK', 'UPGRADE_NEEDED']);

/** Refusals that were logged and are not logged again. */
const REFUSALS_REMEMBERED = 256;

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
  /** Who has called and is no member that this node has heard of: it may have been away while they changed. */
  private guests: readonly Member[] = [];
  private readonly refusals = new Set<string>();
  private state: 'made' | 'started' | 'closed' = 'made';

  constructor(options: PeerLinksOptions) {
    this.options = options;
    this.visitors = new Visitors(options);
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
    const seated = new Set(members.map(({ actor }) => actor));
    this.guests = this.guests.filter((guest) => !seated.has(guest.actor) && !this.visitors.isFormer(guest));
    this.follow([...members, ...this.guests]);
  }

  /** Has links to exactly these, but for this node itself. */
  private follow(peers: readonly Member[]): void {
    const others = new Map(peers.filter(({ actor }) => actor !== this.options.self.actor).map((peer) => [peer.actor, peer]));
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
    if (link === undefined) return false;
    let bytes = MESSAGE_BYTES;
    for (const record of records) bytes += record.bytes.byteLength;
    if (message.type === 'snapshot') bytes += message.data.byteLength;
    const connection = message.type === 'append' || message.type === 'snapshot' ? link.bulk : link.control;
    return connection.deliver(peerMessageToProto({ group, message, records }), bytes);
  }

  heartbeat(to: ActorId): void {
    this.links.get(to)?.control.deliver(nodeHeartbeat(), MESSAGE_BYTES);
  }

  async forward(to: ActorId, group: GroupId, body: PackedBody, stamp: ProducerStamp): Promise<Proposed> {
    const proposed = this.links.get(to)?.bulk.forward(group, body, stamp);
    if (proposed === undefined)
      throw new FlotillaError('NO_LEADER', `the link to the leader, actor ${to}, is down; nothing was proposed: try again`);
    return await proposed;
  }

  /** The server's side of Deliver: ends when the caller's stream does, or a newer one takes its place. */
  async deliver(stream: DuplexStream<proto.DeliverRequest, proto.DeliverResponse>, call: CallContext): Promise<void> {
    const visit = await this.letIn(call, 'Deliver');
    const received = stream.receive((frame) => {
      const accepted = this.acceptances.of(visit.visitor.instance);
      return accepted === undefined ? this.take(visit, frame) : accepted.then(() => this.take(visit, frame));
    });
    await this.lasting(visit, received);
  }

  private take(visit: Visit, frame: proto.DeliverRequest): void {
    if (!visit.current) return;
    this.options.events.onHeard(visit.from);
    for (const request of requestsOf(frame)) {
      const { group, message, records } = this.read(request);
      this.options.events.onMessage(visit.from, group, message, records);
    }
  }

  /** What only a newer version can have written is never passed over: this node would hold another log than the others. */
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
    const visit = await this.letIn(call, 'Forward');
    let underWay = 0;
    const received = stream.receive((request) => {
      if (!visit.current) return;
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

  /** What became of a forwarded batch. Rejects only with what is none of our errors: a defect, which ends the stream. */
  private async propose(
    visit: Visit,
    { group, packed, producer }: proto.ForwardRequest,
  ): Promise<NonNullable<proto.ForwardResponse['outcome']>> {
    try {
      if (packed === undefined) throw new FlotillaError('INVALID_ARGUMENT', 'packed: is missing');
      // The node that took it in has checked the body; this says that these are still its bytes.
      if (crc32(packed.body) !== packed.checksum) throw new FlotillaError('INVALID_ARGUMENT', 'packed: the body was damaged on its way');
      const stamp = stampFromProto(producer);
      const { firstCounter, actor, index, term } = await this.options.events.onForward(visit.from, groupId(group), packed, stamp);
      return { $case: 'proposed', value: { firstCounter, logIndex: index, term, actorId: actor } };
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      return { $case: 'failure', value: { code: error.code, message: error.message } };
    }
  }

  /** The server's side of FetchRecords. */
  async fetched({ group, fromIndex, toIndex }: proto.FetchRecordsRequest, call: CallContext): Promise<proto.FetchRecordsResponse> {
    await this.recognised(call, () => this.visitors.recognise(call));
    const records = await this.options.events.onFetch(groupId(group), logIndex(fromIndex), logIndex(toIndex));
    return { records: records.map(({ bytes }) => bytes) };
  }

  /** Committed records as another member holds them; none where it does not. Throws where it can't be asked. */
  async fetch(from: ActorId, group: GroupId, range: { readonly from: LogIndex; readonly to: LogIndex }): Promise<LogRecord[]> {
    const link = this.links.get(from);
    if (link === undefined) throw new FlotillaError('UNREACHABLE', `actor ${from} is no peer of this node`);
    // A connection of its own: records that are sought again must not hold up those that are new.
    const client = new RpcClient(proto.PeerServiceDefinition, this.located(link.member).address);
    try {
      const metadata = helloMetadata(this.helloTo(link.member, 'bulk'));
      const request = { group, fromIndex: range.from, toIndex: range.to };
      const { records } = await client.unary('fetchRecords', request, { metadata, timeoutMs: LIMITS.repairFetchMs });
      return records.map(openRecord);
    } finally {
      client.close();
    }
  }

  private async recognised<Result>(call: CallContext, recognise: () => Promise<Result>): Promise<Result> {
    try {
      if (this.state !== 'started') throw new FlotillaError('NOT_READY', 'the node does not take part in the cluster yet, or no longer');
      return await recognise();
    } catch (error) {
      if (error instanceof FlotillaError && REFUSALS.has(error.code)) this.logRefusal(`${call.peer} was refused`, error);
      throw error;
    }
  }

  private async letIn(call: CallContext, method: string): Promise<Visit> {
    const visit = await this.recognised(call, () => this.visitors.admit(call, method));
    // The caller takes these for the news that the link stands.
    call.sendHeaders();
    // Who dials is there to be dialled, and where it says.
    const link = this.links.get(visit.from) ?? this.welcome(visit.visitor);
    if (link !== undefined) this.addresses.hear(visit.visitor) ? readdress(link) : dial(link);
    this.options.onCaller();
    return visit;
  }

  /** A guest is answered, too. */
  private welcome(guest: Member): Link | undefined {
    if (this.guests.length >= LIMITS.peerAddresses) return undefined;
    this.guests = [...this.guests, guest];
    this.follow([...[...this.links.values()].map(({ member }) => member), guest]);
    return this.links.get(guest.actor);
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
      queueBytes: kind === 'control' ? LIMITS.peerControlBytes : LIMITS.peerBulkBytes,
      onState: (state) => {
        logger.debug({ peer: member.actor, link: kind, state }, 'a link has changed');
        if (state === 'open') this.acceptances.accepted(member.instance);
        if (kind !== 'control') return;
        logger.info({ peer: member.actor, address: this.located(member).address, state }, `the link to a peer is ${state}`);
        events.onLink(member.actor, state);
      },
      onFailure: (failure, address) => {
        if (failure?.code === 'ROLLED_BACK') this.options.onFatal(failure);
        if (failure !== undefined && REFUSALS.has(failure.code))
          this.logRefusal(`actor ${member.actor} at ${address} refuses this node`, failure);
        else
          logger.debug(
            { peer: member.actor, link: kind, failure: failure?.message ?? 'no answer' },
            'a link was lost or could not be opened',
          );
      },
    });
  }

  private helloTo(wanted: Member, link: LinkKind): Hello {
    const { clusterId, self, bootCounter, boots, versions } = this.options;
    return { clusterId, ...self, bootCounter, boots, versions: versions(), link, wanted };
  }

  /** A node that does not belong here knocks several times a second: it is named once. */
  private logRefusal(what: string, error: FlotillaError): void {
    if (this.refusals.has(error.message) || this.refusals.size >= REFUSALS_REMEMBERED) return;
    this.refusals.add(error.message);
    this.options.logger.error({ error }, what);
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
