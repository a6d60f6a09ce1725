import { createHash } from 'node:crypto';
import { type ActorId, actorId, FlotillaError, LIMITS, messageOf } from '../base/index.js';
import type { Logger } from '../replica/index.js';
import { RpcClient } from '../rpc/index.js';
import { type Member, type Membership, proto } from '../wire/index.js';

/** How long one introduction may take, and how long to wait before the next round of them. */
const INTRODUCE_TIMEOUT_MS = 1000;
const ROUND_MS = 150;

export const PROTOCOL_VERSION = 1;

/** What of the forming must survive a restart. */
export interface FormationStore {
  readonly identity: { readonly clusterId?: string; readonly promised?: readonly Member[] };
  /** Durable when it resolves. A promise is never replaced by another. */
  promise(members: readonly Member[]): Promise<void>;
}

/** The cluster that this node belongs to from now on. */
export interface Founded {
  readonly clusterId: string;
  /** Every founder votes. */
  readonly membership: Membership;
}

/** What an address answered when it was last asked. */
type Answer =
  | { readonly kind: 'self' }
  | { readonly kind: 'node'; readonly introduction: Introduction }
  | { readonly kind: 'silent'; readonly why: string };

interface Introduction {
  readonly self: Member;
  readonly clusterId: string;
  readonly clusterMembers: readonly Member[];
  readonly peerAddresses: readonly string[];
  readonly promised: readonly Member[];
}

/**
 * Forms the cluster. The founders are the closure of everybody's list of peers,
 * taken as nodes (actor and instance), never as spellings of addresses. When
 * every address in the closure has answered, a node durably promises exactly
 * that set, and never another one. When all of the set have promised it, each
 * of them for itself takes it for the cluster's first membership.
 *
 * So two halves can't form two clusters: each would need the promise of a node
 * that has given it to the other. A founder that missed the last promise, or
 * crashed, finds itself in the cluster of those that did not.
 */
export class Formation {
  private readonly self: Member;
  private readonly store: FormationStore;
  private readonly peerAddresses: readonly string[];
  private readonly logger: Logger;
  private readonly answers = new Map<string, Answer>();
  private readonly clients = new Map<string, RpcClient<typeof proto.PeerServiceDefinition>>();
  private founded: Founded | undefined;
  private waiting: readonly string[] = [];
  private wake: (() => void) | undefined;

  constructor(options: { self: Member; store: FormationStore; peerAddresses: readonly string[]; logger: Logger }) {
    this.self = options.self;
    this.store = options.store;
    this.peerAddresses = options.peerAddresses;
    this.logger = options.logger;
  }

  /** Why the cluster is not formed yet: sentences for people. */
  get waitingFor(): readonly string[] {
    return this.waiting;
  }

  /**
   * Resolves with the cluster; at once where this node is in one already, or has
   * no peers. Rejects with FOREIGN_NODE where it can't become part of one as it
   * is, with CANCELLED when `signal` is aborted.
   */
  async form(signal: AbortSignal): Promise<Founded> {
    try {
      this.founded = this.alreadyFounded() ?? (await this.foundWithPeers(signal));
    } finally {
      for (const client of this.clients.values()) client.close();
      this.clients.clear();
    }
    this.waiting = [];
    return this.founded;
  }

  /** Answers another node's introduction. */
  async introduce(request: proto.IntroduceRequest): Promise<proto.IntroduceResponse> {
    if (request.self === undefined) throw new FlotillaError('INVALID_ARGUMENT', 'self: who is calling?');
    // Somebody is there now: look again at once.
    this.wake?.();
    const founders = this.founded?.membership.members ?? [];
    return {
      self: toProto(this.self),
      clusterId: this.founded?.clusterId ?? '',
      clusterMembers: founders.map(toProto),
      peerAddresses: [...this.peerAddresses],
      known: this.knownNodes().map(({ self }) => toProto(self)),
      promised: (this.store.identity.promised ?? []).map(toProto),
      protocolVersion: PROTOCOL_VERSION,
    };
  }

  private alreadyFounded(): Founded | undefined {
    const { clusterId, promised } = this.store.identity;
    return clusterId === undefined || promised === undefined ? undefined : foundedBy(promised);
  }

  private async foundWithPeers(signal: AbortSignal): Promise<Founded> {
    while (!signal.aborted) {
      await this.askEveryone();
      const founded = this.findOwnCluster() ?? (await this.promiseAndCompare());
      if (founded !== undefined) return founded;
      await this.pause(signal);
    }
    throw new FlotillaError('CANCELLED', 'the node stops before its cluster has formed');
  }

  /** Asks every address of the closure; what answers may name further ones, which are asked in turn. */
  private async askEveryone(): Promise<void> {
    const asked = new Set<string>();
    for (let next = this.addresses(); next.length > 0; next = this.addresses().filter((address) => !asked.has(address))) {
      for (const address of next) asked.add(address);
      await Promise.all(next.map(async (address) => this.answers.set(address, await this.ask(address))));
    }
    this.refuseImpostors();
  }

  /** Every address that this node, or one that it has met, was started with. */
  private addresses(): string[] {
    const told = this.knownNodes().flatMap(({ peerAddresses }) => peerAddresses);
    return [...new Set([...this.peerAddresses, ...told])].slice(0, LIMITS.peerAddresses);
  }

  private async ask(address: string): Promise<Answer> {
    const client = this.clients.get(address) ?? new RpcClient(proto.PeerServiceDefinition, address);
    this.clients.set(address, client);
    let response: proto.IntroduceResponse;
    try {
      response = await client.unary('introduce', { self: toProto(this.self), clusterId: '' }, { timeoutMs: INTRODUCE_TIMEOUT_MS });
    } catch (error) {
      return { kind: 'silent', why: messageOf(error) };
    }
    if (response.protocolVersion !== PROTOCOL_VERSION) {
      return { kind: 'silent', why: `it speaks protocol ${response.protocolVersion}, this version ${PROTOCOL_VERSION}` };
    }
    if (response.self === undefined) return { kind: 'silent', why: 'it does not say who it is' };
    if (response.self.instanceId === this.self.instance) return { kind: 'self' };
    return {
      kind: 'node',
      introduction: {
        self: fromProto(response.self),
        clusterId: response.clusterId,
        clusterMembers: response.clusterMembers.map(fromProto),
        peerAddresses: response.peerAddresses,
        promised: response.promised.map(fromProto),
      },
    };
  }

  /** Each node once, however many addresses lead to it. */
  private knownNodes(): Introduction[] {
    const nodes = new Map<string, Introduction>();
    for (const answer of this.answers.values()) {
      if (answer.kind === 'node') nodes.set(answer.introduction.self.instance, answer.introduction);
    }
    return [...nodes.values()];
  }

  private refuseImpostors(): void {
    const byActor = new Map<ActorId, Member>([[this.self.actor, this.self]]);
    for (const { self } of this.knownNodes()) {
      const other = byActor.get(self.actor);
      if (other !== undefined && other.instance !== self.instance) {
        throw new FlotillaError(
          'FOREIGN_NODE',
          `actor id ${self.actor} is taken: ${other.address} and ${self.address} both use it; give each node of the cluster an --actor-id of its own`,
        );
      }
      byActor.set(self.actor, self);
    }
  }

  /** Where a node is in a cluster already, this one is either a founder of it or a stranger. */
  private findOwnCluster(): Founded | undefined {
    const clusters = this.knownNodes().filter(({ clusterId }) => clusterId !== '');
    const [first] = clusters;
    if (first === undefined) return undefined;
    const other = clusters.find(({ clusterId }) => clusterId !== first.clusterId);
    if (other !== undefined) {
      throw new FlotillaError(
        'FOREIGN_NODE',
        `${first.self.address} and ${other.self.address} belong to different clusters (${first.clusterId} and ${other.clusterId}): name peers of one cluster only`,
      );
    }
    const seat = first.clusterMembers.find(({ actor }) => actor === this.self.actor);
    const { promised } = this.store.identity;
    if (seat?.instance === this.self.instance && promised !== undefined && foundedBy(promised).clusterId === first.clusterId)
      return foundedBy(promised);
    throw new FlotillaError('FOREIGN_NODE', seat === undefined ? notAMember(first) : replaced(first, seat));
  }

  private async promiseAndCompare(): Promise<Founded | undefined> {
    const silent = [...this.answers].flatMap(([address, answer]) =>
      answer.kind === 'silent' ? [`no answer from ${address}: ${answer.why}`] : [],
    );
    if (silent.length > 0 && this.store.identity.promised === undefined) {
      this.waitFor(silent);
      return undefined;
    }
    const nodes = this.knownNodes();
    if (this.store.identity.promised === undefined) await this.store.promise(inOrder([this.self, ...nodes.map(({ self }) => self)]));
    const promised = this.store.identity.promised ?? [];
    const missing = promised
      .filter(({ instance }) => instance !== this.self.instance)
      .flatMap((member) =>
        whyNotPromised(
          member,
          nodes.find(({ self }) => self.instance === member.instance),
          promised,
        ),
      );
    this.waitFor([...missing, ...(missing.length > 0 ? silent : [])]);
    return missing.length === 0 ? foundedBy(promised) : undefined;
  }

  private waitFor(reasons: readonly string[]): void {
    const changed = reasons.join('\n') !== this.waiting.join('\n');
    this.waiting = reasons;
    if (changed && reasons.length > 0) this.logger.info({ waitingFor: reasons }, 'the cluster is forming');
  }

  private async pause(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ROUND_MS);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener('abort', this.wake, { once: true });
    });
    if (this.wake !== undefined) signal.removeEventListener('abort', this.wake);
  }
}

/** The same on every founder: nobody has to tell the others. */
function foundedBy(founders: readonly Member[]): Founded {
  const members = inOrder(founders);
  const names = members.map(({ actor, instance }) => `${actor}:${instance}`).join('\n');
  const clusterId = createHash('sha256').update(names).digest('hex').slice(0, 32);
  return { clusterId, membership: { voters: members.map(({ actor }) => actor), outgoing: [], learners: [], members } };
}

function whyNotPromised(member: Member, introduction: Introduction | undefined, promised: readonly Member[]): string[] {
  const name = `node ${member.actor} (${member.address})`;
  if (introduction === undefined) return [`${name} does not answer`];
  if (introduction.promised.length === 0) return [`${name} has not agreed to the founding members yet`];
  if (sameNodes(introduction.promised, promised)) return [];
  return [
    `${name} has agreed to the founding members ${actorsOf(introduction.promised)}, this node to ${actorsOf(promised)}: ` +
      'stop all of them, give all the same --peer-addr list, remove their data directories, which hold no events yet, and start again',
  ];
}

function notAMember({ self, clusterId, clusterMembers }: Introduction): string {
  return (
    `${self.address} belongs to cluster ${clusterId} of actors ${actorsOf(clusterMembers)}, and this node is not one of them: ` +
    'joining a running cluster is not supported by this version; start all nodes of a new cluster with each other as peers'
  );
}

function replaced({ self }: Introduction, seat: Member): string {
  return (
    `actor id ${seat.actor} is taken: in the cluster of ${self.address} it belongs to another data directory. ` +
    'Start this node on that directory, or give it another --actor-id; a node that lost its data must not come back under the same name'
  );
}

function actorsOf(members: readonly Member[]): string {
  return members.map(({ actor }) => actor).join(', ');
}

function sameNodes(first: readonly Member[], second: readonly Member[]): boolean {
  return foundedBy(first).clusterId === foundedBy(second).clusterId;
}

function inOrder(members: readonly Member[]): Member[] {
  return [...members].sort((a, b) => a.actor - b.actor);
}

function toProto({ actor, instance, address }: Member): proto.Member {
  return { actorId: actor, instanceId: instance, address };
}

function fromProto({ actorId: actor, instanceId: instance, address }: proto.Member): Member {
  return { actor: actorId(actor), instance, address };
}
