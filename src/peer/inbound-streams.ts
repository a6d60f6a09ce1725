import { type ActorId, FlotillaError, LIMITS, type Member, type Voucher } from '../base/index.js';
import type { CallContext } from '../rpc/index.js';
import { findVoucher, type NodeKey, type proto, type VersionRange, voucherFromProto } from '../wire/index.js';
import { CalleeHandshake } from './handshake.js';
import { type Boot, checkAddressee, foreign, type Hello, readHello, requireLaterBoot } from './hello.js';

/** A stream that a peer has opened here. */
export class InboundStream {
  readonly from: ActorId;
  /** What the caller says that it is; to be believed once the stream is let in. */
  readonly caller: Hello;
  readonly handshake: CalleeHandshake;
  /** The address that the call came from. */
  readonly origin: string;
  private readonly method: string;
  private readonly interrupted: Promise<never>;
  private interrupt: (error: unknown) => void = () => undefined;
  private state: 'greeted' | 'let in' | 'over' = 'greeted';

  constructor(handshake: CalleeHandshake, origin: string, method: string) {
    this.from = handshake.hello.actor;
    this.caller = handshake.hello;
    this.handshake = handshake;
    this.origin = origin;
    this.method = method;
    this.interrupted = new Promise((_resolve, reject) => {
      this.interrupt = reject;
    });
    // A stream that is ended before anything waits for it must not end the process.
    this.interrupted.catch(() => undefined);
  }

  /** Nothing that comes by this stream counts before, or from its end on. */
  get current(): boolean {
    return this.state === 'let in';
  }

  /** One stream of a kind stands for each link of a peer. */
  get key(): string {
    return `${this.from}/${this.caller.link}/${this.method}`;
  }

  letIn(): void {
    if (this.state === 'greeted') this.state = 'let in';
  }

  /** Waits for the stream's end, or for {@link end}. A caller that proves nothing in time is not waited for. */
  async lasting(received: Promise<void>): Promise<void> {
    const timer = setTimeout(() => {
      if (this.state === 'greeted')
        this.end(foreign(`${this.caller.address} did not prove in time that it is actor ${this.from}`));
    }, LIMITS.peerDialTimeoutMs);
    try {
      await Promise.race([received, this.interrupted]);
    } finally {
      clearTimeout(timer);
      this.state = 'over';
    }
  }

  /** Ends the stream with `error`. */
  end(error: unknown): void {
    this.state = 'over';
    this.interrupt(error);
  }
}

/** Knows durably which starts of other nodes were seen. */
export interface BootMemory {
  /** The latest; undefined before the first. */
  lastBoot(instance: string): Boot | undefined;
  /** Durable when it resolves. */
  saw(instance: string, boot: Boot): Promise<void>;
}

/** What the cluster's state, as this node has it, says of peers. */
export interface MembershipView {
  versions(): VersionRange;
  vouchers(): readonly Voucher[];
}

export interface InboundStreamsOptions {
  readonly clusterId: string;
  readonly self: Member;
  readonly key: NodeKey;
  readonly membership: MembershipView;
  /** Instances that were members once, as far as this node's log tells. */
  readonly former: Iterable<string>;
  readonly memory: BootMemory;
}

/** A member that the cluster's state, as this node has it, does not name yet. */
interface Newcomer extends Member {
  /** The index of its voucher. */
  readonly index: number;
}

/**
 * The streams that peers have opened here, each stream of a peer once: a newer one
 * takes the place of the older. The cluster's state names the members. A node that was
 * away while others were taken in believes the vouchers of those it knows, until its
 * log tells.
 */
export class InboundStreams {
  private readonly options: InboundStreamsOptions;
  private readonly streams = new Map<string, InboundStream>();
  private members = new Map<ActorId, Member>();
  private readonly newcomers = new Map<ActorId, Newcomer>();
  /** Instances that were members once. */
  private readonly former: Set<string>;

  constructor(options: InboundStreamsOptions) {
    this.options = options;
    this.former = new Set(options.former);
  }

  setMembers(members: readonly Member[]): void {
    for (const { instance } of this.members.values()) this.former.add(instance);
    for (const { instance } of members) this.former.delete(instance);
    this.members = new Map(members.map((member) => [member.actor, member]));
    // The log has come to where they were taken in: from here on it tells of them.
    for (const { actor, index } of this.newcomers.values())
      if (index <= this.vouchedThrough) this.newcomers.delete(actor);
    for (const stream of this.streams.values()) {
      if (this.former.has(stream.caller.instance)) stream.end(foreign(`actor ${stream.from} is no longer a member`));
    }
  }

  /** The members by this node's log, with those that were taken in since, some in the place of a member. */
  get peers(): Member[] {
    return [...new Map([...this.members, ...this.newcomers]).values()];
  }

  /** Ends the streams of peers that are too old for the version that is active now. */
  endOutdated(): void {
    const ours = this.options.membership.versions();
    for (const stream of this.streams.values()) {
      if (stream.caller.versions.highest < ours.lowest)
        stream.end(new FlotillaError('UPGRADE_NEEDED', `version ${ours.lowest} is active now`));
    }
  }

  /** Proves this node's identity to a caller. Throws FOREIGN_NODE or UPGRADE_NEEDED where it looks for another node. */
  greet(call: CallContext, method: string): InboundStream {
    const hello = readHello(call);
    const { clusterId, self, membership, key } = this.options;
    checkAddressee(hello, { clusterId, self, versions: membership.versions() });
    return new InboundStream(new CalleeHandshake(call, hello, key, method), call.peer, method);
  }

  /**
   * Lets the caller in as a member. Throws FOREIGN_NODE where it does not prove
   * to be one, and ROLLED_BACK where its data is older than it was. A start that
   * was not seen before is noted durably before the caller is let in: whatever it
   * promises from then on, it will be known to have promised.
   */
  async recognise({ handshake }: InboundStream, proof: proto.Proof): Promise<void> {
    const { hello } = handshake;
    handshake.requireProof(proof.signature);
    this.check(hello, proof);
    const { instance, bootCounter, boots } = hello;
    await this.options.memory.saw(instance, { bootCounter, bootId: boots.at(-1) ?? '' });
    // Meanwhile the members may have changed, or a later start of the caller may have called.
    this.check(hello, proof);
  }

  /** As {@link recognise}, for a stream that lasts. */
  async admit(stream: InboundStream, proof: proto.Proof): Promise<void> {
    await this.recognise(stream, proof);
    const { key } = stream;
    this.streams.get(key)?.end(new FlotillaError('CANCELLED', 'the same node has opened a newer stream'));
    this.streams.set(key, stream);
    stream.letIn();
  }

  private check(hello: Hello, { vouchers }: proto.Proof): void {
    const { memory } = this.options;
    this.requireSeat(hello, vouchers.map(voucherFromProto));
    const lastBoot = memory.lastBoot(hello.instance);
    if (lastBoot !== undefined && lastBoot.bootCounter > 0) requireLaterBoot(hello, lastBoot);
  }

  private requireSeat({ actor, instance, address }: Hello, vouchers: readonly Voucher[]): void {
    const { clusterId, self } = this.options;
    if (this.former.has(instance))
      throw foreign(`actor ${actor} is no member of cluster ${clusterId} any more: it was removed`);
    const newcomer = this.newcomers.get(actor);
    const holder = newcomer ?? this.members.get(actor);
    if (holder?.instance === instance) return;
    const trusted = [self, ...this.peers].map((member) => member.instance);
    const voucher =
      actor === self.actor ? undefined : findVoucher(vouchers, { actor, instance }, { clusterId, trusted });
    const isLatest = voucher !== undefined && voucher.index > Math.max(this.vouchedThrough, newcomer?.index ?? 0);
    if (!isLatest) throw foreign(holder === undefined ? noMember(actor, clusterId) : anotherHolds(holder, instance));
    if (newcomer === undefined && this.newcomers.size >= LIMITS.peerAddresses)
      throw foreign(`more than ${LIMITS.peerAddresses} nodes have joined since this one was away`);
    this.newcomers.set(actor, { actor, instance, address, index: voucher.index });
  }

  /** This node's log tells of all nodes that were taken in up to here. */
  private get vouchedThrough(): number {
    return this.options.membership.vouchers().at(-1)?.index ?? 0;
  }

  /** The callers whose streams stand, each once, as it was last started. */
  callers(): Hello[] {
    const callers = [...this.streams.values()].filter(({ current }) => current).map(({ caller }) => caller);
    callers.sort((a, b) => a.bootCounter - b.bootCounter);
    return [...new Map(callers.map((caller) => [caller.actor, caller])).values()];
  }

  endAll(error: FlotillaError): void {
    for (const stream of this.streams.values()) stream.end(error);
    this.streams.clear();
  }
}

function noMember(actor: ActorId, clusterId: string): string {
  return (
    `actor ${actor} is no member of cluster ${clusterId}, as far as this node's log tells, and nobody ` +
    'that this node knows vouches for it'
  );
}

function anotherHolds({ actor, instance }: Member, theirs: string): string {
  return (
    `actor ${actor} comes with the data directory ${theirs}, and the member of that name has ${instance}: ` +
    'only the one that was taken in last may take part'
  );
}
