import { type ErrorCode, FlotillaError, LIMITS, type Member, messageOf } from '../base/index.js';
import type { Logger } from '../group/index.js';
import { NodeKey, type proto, type VersionRange, voucherFromProto } from '../wire/index.js';
import type { Application } from './application.js';
import {
  type DiscoveryClient,
  memberFromProto,
  memberToProto,
  RpcDiscoveryClient,
  readIntroduction,
} from './discovery-client.js';
import {
  type Founded,
  foundedBy,
  foundersOf,
  type Introduction,
  joinedTo,
  nextStep,
  type Predecessor,
  type Round,
  refusalToForm,
  type Silence,
} from './founding.js';

/** Pause between two rounds of introductions, and its share that is random. */
const ROUND_MS = 120;
const JITTER = 0.5;

/** Rounds for which a node that has called is counted among the founders without calling again. */
const CALLER_ROUNDS = 12;

/** Answers after which asking again would change nothing. */
const FINAL: ReadonlySet<ErrorCode> = new Set(['FOREIGN_NODE', 'UPGRADE_NEEDED', 'INVALID_ARGUMENT']);

/** What of the forming must survive a restart. */
export interface FormationStore {
  readonly identity: {
    readonly bootCounter: number;
    readonly boots: readonly string[];
    /** See `NodeKey`. */
    readonly secret: string;
    readonly clusterId?: string;
    readonly promised?: readonly Member[];
    /** Set where this node waits to be taken in in the place of the one that it was. */
    readonly predecessor?: Predecessor & {
      readonly members: readonly Member[];
      readonly reason: string;
      readonly secret?: string;
    };
  };
  /** Durable when it resolves. A promise is never replaced by another. */
  promise(members: readonly Member[]): Promise<void>;
}

export interface FormationOptions {
  readonly self: Member;
  /** What this node speaks, in a cluster from the active version on. */
  readonly versions: () => VersionRange;
  readonly store: FormationStore;
  readonly peerAddresses: readonly string[];
  readonly logger: Logger;
  /** Tests give another one. Default: over gRPC. */
  readonly discovery?: DiscoveryClient;
  /** Tests give a shorter one. */
  readonly roundMs?: number;
}

/**
 * Forms the cluster. The founders are the closure of all nodes' lists of peers,
 * and of the nodes that call, taken as nodes (actor and instance), never as
 * spellings of addresses. When every address in the closure has answered and
 * all have met the same nodes, each durably promises exactly that set, and
 * never another one. When all of the set have promised it, each of them for
 * itself takes it for the cluster's first membership.
 *
 * So two halves can't form two clusters: each would need the promise of a node
 * that has given it to the other. A founder that missed the last promise, or
 * crashed, finds itself in the cluster of those that did not.
 */
export class Formation {
  private readonly options: FormationOptions;
  private readonly discovery: DiscoveryClient;
  private readonly roundMs: number;
  /** When each address last called, by this process's clock. */
  private readonly callers = new Map<string, number>();
  /** The nodes that this one tells the others to have met. */
  private told: readonly Member[];
  private founded: Founded | undefined;
  private lastRound: Round | undefined;
  /** Addresses that an operator has said not to wait for. */
  private without: readonly string[] = [];
  private announceFounded: () => void = () => undefined;
  private readonly announced = new Promise<void>((resolve) => {
    this.announceFounded = resolve;
  });
  private members: readonly Member[] = [];
  private waiting: readonly string[] = [];
  private wake: () => void = () => undefined;

  constructor(options: FormationOptions) {
    this.options = options;
    this.discovery = options.discovery ?? new RpcDiscoveryClient();
    this.roundMs = options.roundMs ?? ROUND_MS;
    this.told = [options.self];
  }

  /** Why the cluster is not formed yet: sentences for people. */
  get waitingFor(): readonly string[] {
    return this.waiting;
  }

  /** What this node waits for as a whole: a sentence. */
  get purpose(): string {
    const { predecessor } = this.options.store.identity;
    if (predecessor === undefined) return 'the cluster is forming';
    return (
      `the data of this node was damaged and set aside (${predecessor.reason}); it asks to be taken in anew, ` +
      'which a majority of the others must agree to. ' +
      'Where that is lost for good: flotilla cluster recover, on the member that holds most'
    );
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
      this.discovery.keep(new Set());
    }
    this.waiting = [];
    this.members = this.founded.members;
    this.announceFounded();
    return this.founded;
  }

  /**
   * Waits no longer for founders that don't answer at `addresses`, and tells the
   * others so, each of which finds by itself that they don't. A founder that answers
   * after all is taken in as ever. Resolves when the cluster has formed.
   *
   * Rejects, and changes nothing, with INVALID_ARGUMENT where one of these
   * is not waited for, and with QUORUM_AT_RISK where two clusters could come of it;
   * with NOT_READY where the others have not formed it in time.
   */
  async formWithout(addresses: readonly string[]): Promise<Founded> {
    if (this.founded === undefined) this.requireAwaited(addresses);
    else if (!addresses.every((address) => this.without.includes(address)))
      throw new FlotillaError(
        'INVALID_ARGUMENT',
        'the cluster has formed already; nothing was changed: see flotilla cluster status',
      );
    this.without = [...new Set([...this.without, ...addresses])];
    this.wake();
    await this.formedWithin(LIMITS.memberChangeMs);
    if (this.founded !== undefined) return this.founded;
    throw new FlotillaError(
      'NOT_READY',
      `it is not waited for any more, but the cluster has not formed yet: ${this.waiting.join('; ')}`,
    );
  }

  private async formedWithin(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.announced, late]);
    clearTimeout(timer);
  }

  private requireAwaited(addresses: readonly string[]): void {
    const round = this.lastRound;
    const { promised } = this.options.store.identity;
    if (addresses.length === 0 || addresses.length > LIMITS.peerAddresses)
      throw new FlotillaError('INVALID_ARGUMENT', `without_addresses: name 1 to ${LIMITS.peerAddresses} addresses`);
    if (round === undefined) throw new FlotillaError('NOT_READY', 'the node has only just started: try again');
    if (promised !== undefined) {
      throw new FlotillaError(
        'QUORUM_AT_RISK',
        `the founding members ${promised.map(({ actor }) => actor).join(', ')} are agreed on already, and ` +
          'one of them may have formed that cluster: ' +
          `nothing was changed; it waits because ${this.waiting.join('; ')}`,
      );
    }
    const silent = round.silent.map(({ address }) => address);
    const other = addresses.find((address) => !silent.includes(address));
    if (other !== undefined) {
      const names = silent.length === 0 ? 'no address' : silent.join(', ');
      throw new FlotillaError(
        'INVALID_ARGUMENT',
        `without_addresses: ${other} is not waited for; nothing was changed: waited for is ${names}`,
      );
    }
    const refusal = refusalToForm(round, addresses);
    if (refusal !== undefined) throw new FlotillaError('QUORUM_AT_RISK', `${refusal}. Nothing was changed`);
  }

  /** The members that nodes which ask later are told of. */
  setMembers(members: readonly Member[]): void {
    this.members = members;
  }

  /** Answers another node's introduction. */
  async introduce(request: proto.IntroduceRequest): Promise<proto.IntroduceResponse> {
    this.noteCaller(memberFromProto(request.self));
    const { self, store, peerAddresses } = this.options;
    return {
      self: memberToProto(self),
      clusterId: this.founded?.clusterId ?? '',
      clusterMembers: this.members.map(memberToProto),
      peerAddresses: [...peerAddresses],
      known: this.told.map(memberToProto),
      promised: (store.identity.promised ?? []).map(memberToProto),
      protocolVersion: this.options.versions().lowest,
      highestVersion: this.options.versions().highest,
      withoutAddresses: [...this.without],
    };
  }

  private alreadyFounded(): Founded | undefined {
    const { clusterId, promised = [] } = this.options.store.identity;
    if (clusterId === undefined) return undefined;
    const founded = foundedBy(promised);
    // What one that has joined believed before its first record stands in its log.
    return founded.clusterId === clusterId ? founded : joinedTo(clusterId, []);
  }

  private async foundWithPeers(signal: AbortSignal): Promise<Founded> {
    while (!signal.aborted) {
      const round = await this.meetEveryone();
      if (signal.aborted) break;
      this.lastRound = round;
      const step = nextStep(round);
      if (step.kind === 'found') return step.founded;
      if (step.kind === 'join') {
        const joined = await this.join(step.member, step.members);
        if (joined !== undefined) return joined;
        await this.pause(signal);
        continue;
      }
      // Told from now on, and so for the whole of the next round.
      this.told = step.kind === 'promise' ? step.founders : foundersOf(round);
      if (step.kind === 'promise') {
        await this.options.store.promise(step.founders);
        continue;
      }
      this.waitFor(step.reasons);
      // A node that is alone has none to wait for.
      if (round.nodes.length > 0 || round.silent.length > 0) await this.pause(signal);
    }
    throw new FlotillaError('CANCELLED', 'the node stops before its cluster has formed');
  }

  /** Asks to be taken into a cluster. Undefined where that is to be tried again. */
  private async join(member: Member, members: readonly Member[]): Promise<Founded | undefined> {
    const addresses = [member.address, ...this.addressesOf(members)];
    const asked = new Set<string>();
    const reasons: string[] = [];
    for (let address = addresses.shift(); address !== undefined; address = addresses.shift()) {
      if (asked.has(address)) continue;
      asked.add(address);
      try {
        return await this.joinAt(address);
      } catch (error) {
        if (!(error instanceof FlotillaError) || FINAL.has(error.code)) throw error;
        reasons.push(`${address} has not taken this node in: ${error.message}`);
        if (error.leader !== undefined) addresses.unshift(error.leader);
      }
    }
    this.waitFor(reasons);
    return undefined;
  }

  private async joinAt(address: string): Promise<Founded> {
    const answer = await this.ask(address);
    if ('reason' in answer) throw new FlotillaError('UNREACHABLE', answer.reason);
    const { self: member, clusterId } = answer;
    if (clusterId === '') throw new FlotillaError('NOT_READY', 'it is in no cluster yet');
    const joined = await this.discovery.join(address, member, this.applicationTo(clusterId));
    return joinedTo(joined.clusterId, joined.members.map(memberFromProto), joined.vouchers.map(voucherFromProto));
  }

  private applicationTo(clusterId: string): Application {
    const { self, versions, store } = this.options;
    const { bootCounter, boots, secret, predecessor } = store.identity;
    return {
      hello: { ...self, clusterId, bootCounter, boots, versions: versions(), link: 'control' },
      key: NodeKey.fromSecret(secret),
      predecessor: predecessor?.secret === undefined ? undefined : NodeKey.fromSecret(predecessor.secret),
    };
  }

  /** Asks every address of the closure; what answers may name further ones, which are asked in turn. */
  private async meetEveryone(): Promise<Round> {
    const { self, store } = this.options;
    const told = this.told;
    const { promised, predecessor } = store.identity;
    const asked = new Set<string>();
    const nodes = new Map<string, Introduction>();
    const silent: Silence[] = [];
    let next = [
      ...this.options.peerAddresses,
      ...this.recentCallers(),
      ...this.addressesOf([...(promised ?? []), ...(predecessor?.members ?? [])]),
    ];
    while (next.length > 0) {
      const fresh = [...new Set(next)].filter((address) => !asked.has(address));
      next = [];
      const capacity = LIMITS.peerAddresses - asked.size;
      if (fresh.length > capacity)
        silent.push({
          address: '',
          reason: `more than ${LIMITS.peerAddresses} addresses are named; shorten the lists of --peer-addr`,
        });
      const asking = fresh.slice(0, capacity);
      for (const address of asking) asked.add(address);
      for (const answer of await Promise.all(asking.map((address) => this.ask(address)))) {
        if ('reason' in answer) {
          silent.push(answer);
        } else if (answer.self.instance !== self.instance) {
          nodes.set(answer.self.instance, answer);
          next.push(...answer.peerAddresses, ...this.addressesOf([...answer.known, ...answer.promised]));
        }
      }
    }
    this.discovery.keep(asked);
    const met = { nodes: [...nodes.values()], silent, without: this.without };
    return { self, versions: this.options.versions(), promised, predecessor, told, ...met };
  }

  private async ask(address: string): Promise<Introduction | Silence> {
    try {
      return readIntroduction(
        await this.discovery.introduce(address, { self: memberToProto(this.options.self), clusterId: '' }),
      );
    } catch (error) {
      return { address, reason: `no answer from ${address}: ${messageOf(error).replace(`${address}: `, '')}` };
    }
  }

  /** This node's own is left out: it need not be able to reach itself by the address that others are told. */
  private addressesOf(members: readonly Member[]): string[] {
    return members.filter(({ instance }) => instance !== this.options.self.instance).map(({ address }) => address);
  }

  private noteCaller({ instance, address }: Member): void {
    if (instance === this.options.self.instance) return;
    const isNew = !this.callers.has(address);
    if (isNew && this.callers.size >= LIMITS.peerAddresses) return;
    this.callers.set(address, performance.now());
    // A node is there now: look again at once.
    if (isNew) this.wake();
  }

  private recentCallers(): string[] {
    const since = performance.now() - CALLER_ROUNDS * this.roundMs;
    for (const [address, calledAtMs] of this.callers) if (calledAtMs < since) this.callers.delete(address);
    return [...this.callers.keys()];
  }

  private waitFor(reasons: readonly string[]): void {
    const changed = describe(reasons) !== describe(this.waiting);
    this.waiting = reasons;
    if (changed) this.options.logger.info({ waitingFor: reasons }, this.purpose);
  }

  private async pause(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.roundMs * (1 + JITTER * Math.random()));
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener('abort', this.wake, { once: true });
    });
    signal.removeEventListener('abort', this.wake);
  }
}

/** gRPC puts the time into its words: the same failure at another time is no news. */
function describe(reasons: readonly string[]): string {
  return reasons.join('\n').replace(/\(\d{4}-\d\d-\d\dT[\d:.]+Z\)/g, '');
}
