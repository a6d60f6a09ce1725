import {
  type ActorId,
  assert,
  FlotillaError,
  type GroupId,
  LIMITS,
  type LogIndex,
  type Member,
  type Seat,
} from '../base/index.js';
import type { ProducerStamp } from '../event/index.js';
import type { LinkState, Logger } from '../group/index.js';
import type { Proposed } from '../machine/index.js';
import type { Message } from '../raft/index.js';
import { RpcClient } from '../rpc/index.js';
import type { NodeTransport, PeerEvents } from '../stream/index.js';
import {
  type ClockMessage,
  clockMessageToProto,
  type LogRecord,
  nodeHeartbeat,
  openRecord,
  type PackedBody,
  peerMessageToProto,
  proto,
  voucherToProto,
} from '../wire/index.js';

import { Acceptances } from './acceptances.js';
import { AddressBook } from './address-book.js';
import { PeerConnection } from './connection.js';
import { askOnce } from './exchange.js';
import { CallerHandshake } from './handshake.js';
import type { Hello, LinkKind } from './hello.js';
import { type InboundStream, InboundStreams, type InboundStreamsOptions } from './inbound-streams.js';
import { PeerServer } from './peer-server.js';
import { Refusals } from './refusals.js';
import { mayTell } from './stand-ins.js';

export interface PeerLinksOptions extends InboundStreamsOptions {
  /** Counts this node's starts, durably; at least 1. */
  readonly bootCounter: number;
  /** Ids of the latest of them, this one's last. */
  readonly boots: readonly string[];
  /** The cluster's members, this node among them. */
  readonly members: readonly Member[];
  readonly events: PeerEvents;
  /** Throws INVALID_ARGUMENT or MESSAGE_TOO_LARGE where a client's batch would be refused for it. */
  readonly checkBody: (body: PackedBody) => void;
  /** Called when a peer has opened a link to this node, which tells its identity and address. */
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
  readonly server: PeerServer;
  private readonly streams: InboundStreams;
  private readonly links = new Map<ActorId, Link>();
  private readonly addresses = new AddressBook();
  private readonly acceptances = new Acceptances();
  private readonly refusals: Refusals;
  private state: 'made' | 'started' | 'closed' = 'made';

  constructor(options: PeerLinksOptions) {
    this.options = options;
    this.streams = new InboundStreams(options);
    this.refusals = new Refusals(options.logger);
    this.server = new PeerServer({
      ...options,
      streams: this.streams,
      acceptances: this.acceptances,
      refusals: this.refusals,
      onAdmitted: (inbound) => this.admitted(inbound),
    });
    this.setMembers(options.members);
  }

  /** Dials every other member. */
  start(): void {
    assert(this.state === 'made', 'links are started once');
    this.state = 'started';
    this.server.open();
    for (const link of this.links.values()) dial(link);
  }

  /** Links follow the cluster's membership: a member that left is neither dialled nor let in any more. */
  setMembers(members: readonly Member[]): void {
    this.streams.setMembers(members);
    this.streams.endOutdated();
    this.follow(this.streams.peers);
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
    return this.streams.callers();
  }

  /** Peers that can't be reached, where this node looks for them. */
  missing(): Member[] {
    return [...this.links.values()].filter(({ control }) => control.linkState !== 'open').map(({ member }) => member);
  }

  /** A node is said to be there: a peer that can't be reached is looked for there, too. */
  hearOf(node: Member): void {
    const link = this.links.get(node.actor);
    if (link?.member.instance !== node.instance || link.control.linkState === 'open') return;
    if (this.addresses.hearOf(node) && this.state === 'started') dial(link);
  }

  /** A peer's address as far as it is known here; its own word counts before that of others. */
  located(member: Member): Member {
    const [address = member.address] = this.addresses.addressesOf(member.instance);
    return { ...member, address };
  }

  /** How the link to each peer stands; `open` where small messages get through. */
  states(): ReadonlyMap<ActorId, LinkState> {
    return new Map([...this.links].map(([actor, { control }]) => [actor, control.linkState]));
  }

  /** Whether small messages get through to this very node. */
  isLinkedWith({ actor, instance }: Seat): boolean {
    const link = this.links.get(actor);
    return link?.member.instance === instance && link.control.linkState === 'open';
  }

  send(to: ActorId, group: GroupId, message: Message, records: readonly LogRecord[]): boolean {
    const link = this.links.get(to);
    if (link === undefined || !mayTell(message, link.member, this.options.events.seatOf(group, to))) return false;
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

  /** Ends all streams and forgets all peers. Forwarded batches without an answer have an unknown outcome. */
  async close(): Promise<void> {
    this.state = 'closed';
    for (const link of this.links.values()) closeLink(link);
    this.links.clear();
    this.server.close();
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

  private admitted({ from, caller }: InboundStream): void {
    this.follow(this.streams.peers);
    // A node that dials is there to be dialled, at the address that it names.
    const link = this.links.get(from);
    if (link !== undefined) this.addresses.hear(caller) ? readdress(link) : dial(link);
    this.options.onCaller();
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
    return this.options.membership.vouchers().map(voucherToProto);
  }

  private helloTo(wanted: Member, link: LinkKind): Hello {
    const { clusterId, self, bootCounter, boots, membership } = this.options;
    return { clusterId, ...self, bootCounter, boots, versions: membership.versions(), link, wanted };
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
